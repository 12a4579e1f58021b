"""The decision itself: pure functions and small models, no LiteLLM, no Redis, no asyncio, no clock.

Everything here takes numbers in and gives numbers back, so that the proxy and the simulator run
the very same code and a test can be exact. Time is a float in seconds that the caller passes in.
"""

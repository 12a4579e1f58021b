"""Targets in place of weights: what a fleet of requests should cost, how fast and how good it should be.

`stated` says what may be asked, `objective` scores one request at the prices of the moment, `controller`
steers these prices by what requests cost, took and were worth, and `book` keeps one controller for each
owner of targets and shares them between workers.
"""

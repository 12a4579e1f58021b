"""What keeps the event loop free: chores, deferred work, the collector, watchdogs."""

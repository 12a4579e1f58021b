"""What workers tell each other, under the locks of this worker."""

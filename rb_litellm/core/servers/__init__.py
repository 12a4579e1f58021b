"""What is known of a server at work: slots, queue, open streams, what it has cached."""

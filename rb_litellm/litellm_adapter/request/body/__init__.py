"""What the body of a request says, of whatever endpoint: prompt, input, kind of answer."""

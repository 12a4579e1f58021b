"""What is trained on: graded answers, spend logs, judged answers, features."""

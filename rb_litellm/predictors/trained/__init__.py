"""A predictor that was trained on graded answers: its folder, trees and blend."""

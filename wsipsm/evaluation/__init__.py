"""Predictions against ground truth: AJI, PQ, Dice, IoU and F1 from one overlap table an image."""

from wsipsm.evaluation.metrics import Scores, score_labels

__all__ = ["Scores", "score_labels"]

"""Sweeps of the lab training: `make study STEM=training`, about five minutes on one core.

The digits of scikit-learn, split by the seed into 903 to train on, 300 to validate and
594 to test. One row a run in each of the four tables beside this file.

`_rates`: four optimizers, ten rates, with and without batch norm; 10 epochs, batch 64,
constant rate, five seeds. `_batch`: plain SGD, batch sizes times rates, 12 epochs, five
seeds. `_schedules`: a shallow network with momentum and a deep one with Adam, six
schedules, ten seeds. `_regularization`: 400 digits, with all labels right or a fifth of
them drawn at random, and one remedy at a time; ten seeds, scores on clean test digits.
"""

import itertools

import torch

import dlp_utils as dlp
from dlp_utils.models import training as lab

sweep = dlp.studies.sweep


def grid(**axes):
    return (
        dict(zip(axes, run, strict=True)) for run in itertools.product(*axes.values())
    )


def main():
    torch.set_num_threads(1)
    sweep("training_rates", grid(**lab.RATE_STUDY), lab.rate_run)
    sweep("training_batch", grid(**lab.BATCH_STUDY), lab.batch_run)
    sweep("training_schedules", grid(**lab.SCHEDULE_STUDY), lab.schedule_run)
    remedies = grid(remedy=list(lab.REMEDIES), noise=[0.0, 0.2], seed=range(10))
    sweep("training_regularization", remedies, lab.remedy_run)


if __name__ == "__main__":
    main()

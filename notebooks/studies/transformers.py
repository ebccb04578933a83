"""Runs of the lab transformers: `make study STEM=transformers`, 5 minutes on one core.

One row a run in the table beside this file.

`_chat`: the bot, its loss on the answers only or on all symbols; 900 steps, three seeds.
"""

import torch

import dlp_utils as dlp
from dlp_utils.models import transformers as lab

RUNS = [
    {"answers_only": only, "seed": seed, "steps": 900}
    for seed in range(3)
    for only in (1, 0)
]

if __name__ == "__main__":
    torch.set_num_threads(1)
    dlp.studies.sweep("transformers_chat", RUNS, lab.chat_run)

"""Train the networks that the lab video_generation ships: `make weights STEM=video_generation`.

Three CVAEs of the lab's cpu configuration, on the ten training clips: `deterministic`, then longer films on its
own frames only, then generated variations of the training motions as well; `stochastic` (drifting light, wind);
and `no_past` (calm world; its decoder does not see the previous frame). Stored as one file of half-precision numbers, named
`<network>.<parameter>`; a line on each run goes to the log beside this script. Name runs to do them alone; the
rest stays as it is stored.
"""

import datetime
import sys
import time
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file, save_file

import dlp_utils as dlp
from dlp_utils.data import motion
from dlp_utils.models import video_generation as lab

FILE = Path(lab.__file__).parents[1] / "weights" / "video_generation.safetensors"
LOG = Path(__file__).with_suffix(".log")
LOOKS = 6
CAMERAS = (0, 25, 45, 85, 110, 140, 180, 205, 225, 265, 310)  # degrees; the test cameras stand at 65 and 245
MORE = (0, 20, 40, 55, 80, 100, 120, 140, 160, 180, 200, 220, 235, 260, 285, 310, 335)
CALM, DRIFT = motion.World(), motion.World(light=0.15, wind=0.9, memory=0.7)
OWN = {"ratio": lambda done: 0.0, "lr": 1e-3, "batch": 3, "length": 11}
MIXED = {"ratio": lambda done: 0.3, "lr": 2e-3, "batch": 4, "length": 8}
RUNS = {  # name: (network, goes on from it, steps, world, cameras, configuration, options of the training)
    "deterministic": ("deterministic", False, 5000, CALM, CAMERAS, {}, {"lr": 1.5e-3}),
    "longer_films": ("deterministic", True, 5000, CALM, MORE, {}, OWN),
    "variations": ("deterministic", True, 10000, CALM, MORE, {}, MIXED),
    "stochastic": ("stochastic", False, 5000, DRIFT, CAMERAS, {}, {"lr": 1.5e-3}),
    "no_past": ("no_past", False, 2500, CALM, CAMERAS, {"past": False}, {}),
}


def main(chosen):
    clips = motion.load_clips()
    for run, (name, goes_on, steps, world, cameras, changes, options) in RUNS.items():
        if chosen and run not in chosen:
            continue
        videos = motion.render_all(clips, "train", cameras, world, looks=LOOKS)
        if run == "variations":
            for number, clip in enumerate(motion.variations(clips, 300)):
                videos.append(motion.render(clip, cameras[7 * number % len(cameras)], number % LOOKS, world))
        start = time.perf_counter()
        config = replace(lab.CONFIGS["cpu"], **changes)
        first = lab.load_shipped(name) if goes_on else None
        model, history = lab.train_cvae(config, videos, steps, start=first, **options)
        stored = load_file(str(FILE)) if FILE.exists() else {}  # read late: another run may have added to it
        stored = {key: value for key, value in stored.items() if key.split(".")[0] != name}
        stored |= {f"{name}.{key}": value.half().contiguous() for key, value in model.state_dict().items()}
        save_file(stored, str(FILE))
        last = {key: values[-200:].mean() for key, values in history.extras.items()}
        line = f"{datetime.date.today()} {run}: {steps} steps in {time.perf_counter() - start:.0f} s; last 200 steps "
        line += ", ".join(f"{key} {value:.5g}" for key, value in last.items()) + f"; {dlp.machine()}"
        print(line, flush=True)
        with open(LOG, "a", encoding="utf-8") as log:
            log.write(line + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Train the networks that the lab video_generation ships: `make weights STEM=video_generation`.

Three CVAEs of the lab's cpu configuration, on the ten training clips from eleven cameras: `deterministic`,
`stochastic` (drifting light, wind), and `no_past` (calm world; its decoder does not see the previous frame).
Stored as one file of half-precision numbers, named `<network>.<parameter>`; a line on each run goes to the log
beside this script. Name networks to train them alone; the others stay as they are stored.
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
AZIMUTHS, LOOKS = (0, 25, 45, 85, 110, 140, 180, 205, 225, 265, 310), 6
DRIFT = motion.World(light=0.15, wind=0.9, memory=0.7)
NETWORKS = {  # name: (steps, world, changes of the configuration, options of the training)
    "deterministic": (5000, motion.World(), {}, {"lr": 1.5e-3}),
    "stochastic": (5000, DRIFT, {}, {"lr": 1.5e-3}),
    "no_past": (2500, motion.World(), {"past": False}, {}),
}


def main(chosen):
    clips, videos = motion.load_clips(), {}
    for name, (steps, world, changes, options) in NETWORKS.items():
        if chosen and name not in chosen:
            continue
        if world not in videos:
            videos[world] = motion.render_all(clips, "train", AZIMUTHS, world, looks=LOOKS)
        start = time.perf_counter()
        config = replace(lab.CONFIGS["cpu"], **changes)
        model, history = lab.train_cvae(config, videos[world], steps, **options)
        stored = load_file(str(FILE)) if FILE.exists() else {}  # read late: another run may have added to it
        stored = {key: value for key, value in stored.items() if key.split(".")[0] != name}
        stored |= {f"{name}.{key}": value.half().contiguous() for key, value in model.state_dict().items()}
        save_file(stored, str(FILE))
        last = {key: values[-200:].mean() for key, values in history.extras.items()}
        line = f"{datetime.date.today()} {name}: {steps} steps in {time.perf_counter() - start:.0f} s; last 200 steps "
        line += ", ".join(f"{key} {value:.5g}" for key, value in last.items()) + f"; {dlp.machine()}"
        print(line, flush=True)
        with open(LOG, "a", encoding="utf-8") as log:
            log.write(line + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

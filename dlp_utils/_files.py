"""Files of a run: checkpoints with their random numbers, and weights. Each is written whole or not at all."""

import os
import random
import time
from pathlib import Path

import numpy as np
import torch

FORMAT = "dlp_utils.fit 2"
WEIGHTS = Path(__file__).parent / "weights"


def write_whole(path, write):
    """Let `write(file)` fill a file beside `path`, then put it in its place in one go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())  # else a power cut could leave the name on an empty file
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def compare(found, wanted, source, way_out=""):
    """Raise one sentence unless two dicts of tensors have the same names and shapes."""
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    faults = [f"it lacks {', '.join(missing[:3])}{' …' * (len(missing) > 3)}"] if missing else []
    faults += [f"it has {', '.join(extra[:3])}{' …' * (len(extra) > 3)} besides"] if extra else []
    for name in sorted(wanted.keys() & found.keys()):
        there, here = tuple(found[name].shape), tuple(wanted[name].shape)
        if there != here and len(faults) < 4:
            faults.append(f"{name} has shape {there} there and {here} in the model")
    if faults:
        raise ValueError(f"{source} belongs to another model: {'; '.join(faults)}{way_out}")


def load_weights(model, name):
    """Load weights into `model` and return it: the book's own by their name, others from a path.

    `name` without suffix means `dlp_utils/weights/<name>.safetensors`. Raises `FileNotFoundError` where
    there is no such file, `ValueError` where it is damaged or belongs to another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = _weights_path(name)
    if not path.is_file():
        stored = ", ".join(sorted(file.stem for file in WEIGHTS.glob("*.safetensors"))) or "none"
        raise FileNotFoundError(f"there are no weights at {path}; names that come with the book: {stored}")
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is no whole safetensors file ({error}); fetch or train it again") from error
    compare(weights, model.state_dict(), path)
    model.load_state_dict(weights)
    return model


def save_weights(model, name):
    """Write the state of `model` to where `load_weights(model, name)` finds it, and return the path.

    Weights that are already among the book's own are not overwritten: `ValueError`.
    """
    from safetensors.torch import save

    path = _weights_path(name)
    if path.is_file() and path.resolve().parent == WEIGHTS.resolve():
        raise ValueError(
            f"{name!r} names weights that come with the book, {path}, which are not overwritten; "
            f"give a path of your own, such as 'my_{path.name}'"
        )
    # clone: safetensors refuses tensors that share memory, as tied weights do
    weights = {key: value.detach().cpu().contiguous().clone() for key, value in model.state_dict().items()}
    write_whole(path, lambda file: file.write(save(weights)))
    return path


def _weights_path(name):
    plain = isinstance(name, str) and Path(name).name == name and not Path(name).suffix
    return WEIGHTS / f"{name}.safetensors" if plain else Path(name).expanduser()


def rng_state(device, generators):
    """Return the state of all random number generators that a run knows of."""
    kind, keys, *rest = np.random.get_state()
    state = {
        "python": random.getstate(),
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "generators": [generator.get_state() for generator in generators],
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_rng_state(state, device, generators):
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    for generator, value in zip(generators, state["generators"], strict=True):
        generator.set_state(value)
    # A run may go on elsewhere than where it stopped; the other device's random numbers are of no use then.
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    elif device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])


def _settings(run):
    """What must be the same for a run to go on where another stopped."""
    return {
        "optimizer": type(run.optimizer).__name__,
        "ema": run.ema and run.ema.decay,
        "accumulate": run.accumulate,
        "batches in an epoch": run.length,
        "generators": len(run.generators),
        "processes": run.world,
    }


def options(run):
    """What a call asks of a run and may be another when it goes on; the parameter groups under their numbers."""
    kinds = (bool, int, float, str, tuple, list, type(None))
    groups = [
        {k: v for k, v in group.items() if k != "params" and isinstance(v, kinds)}
        for group in run.optimizer.param_groups
    ]
    return {"run": run.asked, **dict(enumerate(groups))}


def _differences(then, now):
    """Say what of `options` is another now than in the file: "weight_decay was 0.1 and is 0.2", one each."""
    return [
        f"{name} {f'of group {part} ' * (part != 'run' and len(now) > 2)}was {then[part].get(name)} and is {value}"
        for part in now
        for name, value in now[part].items()
        if part in then and then[part].get(name) != value
    ]


def save_run(run):
    """Write the checkpoint of a run of `fit`, unless the file already holds this very state."""
    history, position = run.history, (run.done, run.epoch, len(run.history.metrics))
    if run.path is None or run.saved == position:
        return
    run.settle()  # raises where a loss, a gradient or a weight was not finite: that never reaches the file
    rng = [{"epoch_start": run.epoch_start, "now": rng_state(run.device, run.generators)}]
    if run.world > 1:
        from accelerate.utils import gather_object

        rng = gather_object(rng)
    history.seconds = time.perf_counter() - run.started
    state = {
        "format": FORMAT,
        "settings": _settings(run),
        "options": run.options,
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scaler": run.scaler and run.scaler.state_dict(),
        "ema": run.ema and {"updates": run.ema.updates, "weights": run.ema.weights},
        "position": [run.done, run.epoch, run.seen],
        "rng": rng,
        "columns": {name: torch.tensor(v, dtype=torch.float64) for name, v in history._columns.items()},
        "metrics": history.metrics,
        "seconds": history.seconds,
    }
    if run.accelerator.is_main_process:
        write_whole(run.path, lambda file: torch.save(state, file))
    run.saved = position


def load_run(run):
    """Put a run of `fit` in the state of its checkpoint; `ValueError` says why that is not possible."""
    way_out = "; give another path, or resume=False to start over"
    try:
        state = torch.load(run.path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"checkpoint {run.path} is damaged or no checkpoint ({reason}){way_out}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(f"{run.path} is no checkpoint of this version of fit{way_out}")
    source = f"checkpoint {run.path}"
    compare(state["model"], run.model.state_dict(), source, way_out)
    for name, now in _settings(run).items():
        then = state["settings"][name]
        if then != now:
            raise ValueError(f"{source} was written with {name}: {then}, now it is {now}{way_out}")
    rates = [group["lr"] for group in run.optimizer.param_groups]
    try:
        run.optimizer.load_state_dict(state["optimizer"])
    except ValueError as error:
        raise ValueError(f"{source} does not fit the optimizer ({error}){way_out}") from error
    for number, (group, rate) in enumerate(zip(run.optimizer.param_groups, rates, strict=True)):
        # The call decides, not the file. What it asks for unchanged stays: some optimizers keep progress there.
        then = state["options"][number]
        group |= {k: v for k, v in run.options[number].items() if then.get(k, group) != v} | {"lr": rate}
    run.model.load_state_dict(state["model"])
    if run.scaler and state["scaler"]:
        run.scaler.load_state_dict(state["scaler"])
    if run.ema:
        run.ema.updates = state["ema"]["updates"]
        for name, value in state["ema"]["weights"].items():
            run.ema.weights[name].copy_(value)
    run.done, run.epoch, run.seen = state["position"]
    run.history._columns = {name: v.tolist() for name, v in state["columns"].items()}
    run.history.metrics, run.history.seconds = state["metrics"], state["seconds"]
    run.restored = state["rng"][run.accelerator.process_index]
    set_rng_state(run.restored["now"], run.device, run.generators)
    run.saved = (run.done, run.epoch, len(run.history.metrics))
    if run.accelerator.is_main_process:
        told = f"Going on from {run.path}, written after step {run.done}."
        changed = _differences(state["options"], run.options)
        if changed:
            if run.history.steps and run.done < run.total:  # else no schedule is asked for a next rate
                before = run.history._columns["lr"][-1]
                changed += [f"the next learning rate is {run.set_rate():.3g} after {before:.3g}"]
            told += f" Where this call differs from the file, the call decides: {'; '.join(changed)}."
        print(told)

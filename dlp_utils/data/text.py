"""Texts: seven plays, last names of fifteen languages, sentences of ten. The plays ship with the package.

The names come from the package `faker`, the sentences from `chatterbot_corpus`; nothing of either is executed, their
files are read. Whatever is drawn (which names are held out) depends on the seed alone.
"""

import ast
import bz2
import re
from pathlib import Path

import numpy as np

from . import Dataset, fetch

PLAYS = (  # the last is the test
    "As You Like It",
    "Twelfth Night",
    "Much Ado About Nothing",
    "The Tempest",
    "Macbeth",
    "Julius Caesar",
    "The Merchant of Venice",
)
SHIPPED = Path(__file__).with_name("shakespeare.txt.bz2")
PEOPLE = "faker/providers/person/{}/__init__.py"
LOCALES = {  # language: the files of `faker` that hold its last names, with their sha256
    "Croatian": {
        "hr_HR": "723e1e6c5a4e1be414229c9b8c31bbb2f165af017ce13788c4148a34f6ca6007",
    },
    "Dutch": {
        "nl_NL": "054ba4b04f4d9c40c58315c689d5b3c2f9a529de136678672bf240ef5924a4aa",
    },
    "English": {
        "en_GB": "bf9f2e9160c0a7aa6981d39e8c56aec3a1ac262431b3e95d619a21bb0d62aabe",
    },
    "Estonian": {
        "et_EE": "c13c78745721c2f176a105bf83eb7e724cc0dd030f241ba2ca19cd0c4c6f5646",
    },
    "Finnish": {
        "fi_FI": "70ef5044d206618fc109bc83af960a4a64bac17de2c8eb92324fdb4de2408d4f",
    },
    "French": {
        "fr_FR": "157a646f0d6b68eae1a785c9bb9b2e225e1af4854f96c7281264bacf2876bee7",
    },
    "German": {
        "de_DE": "42e20fb0daf2ccd4210fedfc94cb6274410cc2e04a8021f5f53ad178b24ed602",
        "de_AT": "88c64b45e679a00218f24e59d1617bfe932fd74bbdada3e125ffe35b277cf83b",
    },
    "Icelandic": {
        "is_IS": "bc2acc6da8356ddab0af7ce60982346d23472f977b2c68769b2b2fca3cd83932",
    },
    "Irish": {
        "ga_IE": "fb888cbbb8186b9b93adb3f4c7a43ece40d137f3102a6a5195dd5db55bdac15f",
    },
    "Italian": {
        "it_IT": "ad7684dc9255ba5de7549158eafb22cb2f19029584d4bd6c2b7e89e7726a0717",
    },
    "Polish": {
        "pl_PL": "c15e6d65cc7bebc9b02d4b486e97af60a62af7b7cda43a7685e736917fc112ae",
    },
    "Slovak": {
        "sk_SK": "c442f10dea7b3ee41400cdfda3e053971592a2bc9c725faf16abdd907e48deef",
    },
    "Spanish": {
        "es_ES": "f37eb83dad277784785de028cc5971c24976f643bf20b695507a0cb8c49b3b40",
    },
    "Swedish": {
        "sv_SE": "46789170256d15f145de3fb6474fb7b51be0c99ba184fc922d2dffb13ec274e8",
    },
    "Zulu": {
        "zu_ZA": "3c1998690aca4bc05f58b0485f3fe6ff29a244d2a2aed2bb8c93dac88b163c63",
    },
}
LANGUAGES = tuple(LOCALES)
LATIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ſ'’ -]{2,20}")
SPOKEN = "chatterbot_corpus/data/{}/{}.yml"
TOPICS = {  # language: the files of `chatterbot_corpus` that are read, with their sha256
    "Dutch": {
        "conversations": "27fdcb86bef6a6e9be335531273ae8c44c5abb522af0d8941059c5c5813a21b5",
        "food": "f6ad57bbcc6c5003031f7ea3e650bd485c4797bfb7d16fb5236b9bee57778346",
        "greetings": "bd29414124c2f572dfd4a6d005598e88a4ae76c0a990e6d80b22ea9db4a7643a",
        "health": "81ae66d74f659fa933e30d49460acf05da7df11f61e806f598eb2ccfc3f27f21",
        "history": "20686171d8fa9d22d6e17f51f2be269adf9ffcd69fcbc92709f2ecbfe659641a",
        "money": "2b8bc4355b71d4f51c5eee814f4ffd31188a1ba716ff4b8f1678f6f67e7d1ecf",
        "science": "94cbdf96e3575017aff7af3625e63460e1c0b50ffcf6e3a045ebb5ee744ba6b6",
    },
    "English": {
        "botprofile": "1a694c5288f3f8f87d027d2f98dae71d02efa88e28853a6e5d27e6dbce907294",
        "conversations": "1cf105b5802f377b2dc145f741f7df85629c9ca27e450538165286a75b5e3416",
        "food": "68eab2497721d03044d520b70c27d8a0d8ba8e505b3265fb3a1ff3e1a64c7124",
        "greetings": "0dd7eb8dcee8e2a38cd1a137bcfbd7f3eb732cddfa1bd396fac5a24b063a4d55",
        "health": "eb88edc5302d688ca096374c7e3f5b9d7cd821f053a17d80204c4acdc20ea4f5",
        "history": "0ff4beeb6ef9b641dc12e1039a149c6a03eb8f2e183702fad2b0997fcc1d63e3",
        "money": "2911d9766625ff5c2feb3d784f2951b2ebd5e9658547efce7568d0282c49274b",
        "science": "3c259799bba36c67a1601fc264ec01ab051e9e63950734ce1ef644e022081fe7",
    },
    "French": {
        "botprofile": "a4377c8e9a2c8ae7fb6409202b84e4b3c536c15f989971e492ee81bd30406890",
        "conversations": "d805aa4bad35e323cc6b61893a4ffe8fad99b53fd224251bfc5c305729cb67bc",
        "food": "286654901aad63098d09f60ec71adac16ccfc046fdfc1b44f247e0ee247b792a",
        "greetings": "0025d510fd3f491ebe35c3623f7bc47220678f9eee2ed98c5791859593747790",
    },
    "German": {
        "conversations": "6e193e3ddea7487bd3d811df9b2146b18a9f4b4e8f5a4444e5306bf486f37012",
        "food": "7b0a25b7eda4f621202b6224614746f24f5c382d2c3040ac065684e808515309",
        "greetings": "c2bec7ad9e399ce463c48145913df05d62dcdb721a262fee92b0a32e01787b84",
        "health": "5cdefd11017d7e1a8987f460b12b228faec3c57679a1b45c391b15ebf2a7c135",
        "history": "2187a91120eb614c486f7c48e2df52f8861c9c3adc03ad0f141991df52c89c6a",
    },
    "Indonesian": {
        "conversations": "8ce86a40d553bb7d0c5fa7c4857fb12bfe1fd73301d9d5319fb243ebfc6844d4",
        "greetings": "523a397e51b80f70e16fc3f22657ca76830f8a419f825329b6bc2b6a2abb86e8",
    },
    "Italian": {
        "botprofile": "386da7d969feabfef664d9b06ada0c117fcdefad9cb7350f8bdef7ea392de694",
        "conversations": "c063ecc887f838985ce8ae450ba40a8b26f2472b5f91db40e15a90ba87d5c87a",
        "food": "fed05c81f825d2deb1021889936f0b171cd80cf976f28c16551f0d06bc5d45af",
        "greetings": "88dff90d15efedc6827620dd54144036cfe6f9dcfbd2283c9c66a29d4ca65524",
        "health": "efd5c0fd612cf7c9051712b33c7de1d3e4ad239c57d11cc6d737f59396ad5b93",
        "history": "f0efe904950de8978567260a172bea3b00efee98842260512731a9a92de2b412",
        "money": "90d680b155d7d5764f6a27d6400520001fbf0a53c1dca007bc16ff07eb900de1",
        "science": "bc4970e0ff25aca026679233a86155c9bad21cd36b7088a0fc0ec081d2118e18",
    },
    "Portuguese": {
        "conversations": "380d64a2d25f694d3d0dc3105e634e637a55604634e4186ff5b8cdeb483f56e2",
        "greetings": "f8338eb447b1276523b9d8f68e220868159fc90b4785e54298d18643d0ce0f54",
        "money": "f0d0f8ddc1c3e2b5195be9964440eabd8c34eb80e17bb553c563915c20b9bbea",
    },
    "Spanish": {
        "conversations": "4c916eecd8f48e48d9e24de437eb7ecaa91f42928837dbe85644967a7cac3f63",
        "greetings": "8af4572c445a60f1a65aee9a39136c2085c8f7277d630f16394ce0abfe5c7f27",
    },
    "Swedish": {
        "conversations": "d9632c31c66ff37b05300fcb5263496f1002f7fd037841745da432319befe59c",
        "food": "69c31ae0f89746d5b38e0bdc2cc5a3d738526b95c166069a769072f7a39bc81a",
        "greetings": "48eb03bbbc1d73a07757abd6b9978dec5e521165bddf940aabf4d794a466d246",
    },
    "Turkish": {
        "botprofile": "591d24792ac6480039ddfd7cd369f6cdd2067e37d13195177ca543c1eb8ef311",
        "conversations": "927b8a769798d54b56565408f2ec01cd8d80b72c47443317e27d3a6752b1a196",
        "food": "cf39015b3dee2e2ea19ee1b229d1b3cce0968a331be0ec51188507b487bffa96",
        "greetings": "b342a626a5ecbdefe7fb273a365b66736cdb695859261a1769d24ce0eefb4a9b",
    },
}

EXCHANGES = {  # English files of `chatterbot_corpus` whose lines answer each other, with their sha256
    "ai": "620a65787a56641db4a03e1419a7578e813967218cf6721e3ea4ef90844916aa",
    "botprofile": "1a694c5288f3f8f87d027d2f98dae71d02efa88e28853a6e5d27e6dbce907294",
    "conversations": "1cf105b5802f377b2dc145f741f7df85629c9ca27e450538165286a75b5e3416",
    "food": "68eab2497721d03044d520b70c27d8a0d8ba8e505b3265fb3a1ff3e1a64c7124",
    "greetings": "0dd7eb8dcee8e2a38cd1a137bcfbd7f3eb732cddfa1bd396fac5a24b063a4d55",
    "money": "2911d9766625ff5c2feb3d784f2951b2ebd5e9658547efce7568d0282c49274b",
    "science": "3c259799bba36c67a1601fc264ec01ab051e9e63950734ce1ef644e022081fe7",
    "tech_support": "8a87cdf32579c8efdd9c5f3ef166ae9fb76dcf271b958f5e2265b9246b430655",
}


def plays():
    """Return the seven plays as {title: text}, in the order of PLAYS.

    A text is made of speeches: the speaker's name and a colon on a line of their own, the lines spoken, an empty line.
    Stage directions and headings are out. Source: William Shakespeare, public domain, in the edition of Project
    Gutenberg as the package `shakespeare` 0.6 carries it; cleaned by tools/shakespeare.py.
    """
    return dict(zip(PLAYS, bz2.decompress(SHIPPED.read_bytes()).decode("ascii").split("\f"), strict=True))


def shakespeare():
    """Return `train, test`, two texts (str): six plays to learn from, and "The Merchant of Venice"."""
    texts = list(plays().values())
    return "\n".join(texts[:-1]), texts[-1]


def names(seed=0, train=1000, test=80):
    """Return `train, test`: two lists of (last name, index of its language in LANGUAGES), by language.

    train: at most as many of each language (some have 260 only). test: of each. A name that two languages have is in
    neither. Source: package `faker` 40.63.0 (MIT), downloaded once; FetchError or OfflineError where it cannot be had.
    """
    if train < 1 or test < 1:
        raise ValueError(f"names to train on and to test are at least 1 each, got {train} and {test}")
    members = {PEOPLE.format(code): h for codes in LOCALES.values() for code, h in codes.items()}
    files = fetch.from_package("faker", "40.63.0", members=members)
    lists = [
        sorted({name for code in codes for name in _last_names(files[PEOPLE.format(code)])})
        for codes in LOCALES.values()
    ]
    of = {}
    for index, found in enumerate(lists):
        for name in found:
            of.setdefault(name, set()).add(index)
    lists = [[name for name in found if len(of[name]) == 1] for found in lists]
    return _split(lists, seed, train, test)


def sentences(seed=0, test=30):
    """Return `train, test`: two lists of (sentence, index of its language in TOPICS), as the package files them.

    The labels are the names of the folders, unchecked: one folder holds sentences of another language, which the
    chapter finds out. Source: package `chatterbot_corpus` 1.3.3 (BSD-3-Clause), written by its users; errors as `names`.
    """
    if test < 1:
        raise ValueError(f"sentences to test are at least 1 of each language, got {test}")
    members = {
        SPOKEN.format(lang.lower(), t): h for lang, topics in TOPICS.items() for t, h in topics.items()
    }
    files = fetch.from_package("chatterbot_corpus", "1.3.3", members=members)
    lists = []
    for language, topics in TOPICS.items():
        lines = [_spoken(files[SPOKEN.format(language.lower(), topic)]) for topic in topics]
        lists.append(sorted({sentence for found in lines for sentence in found}))
    return _split(lists, seed, None, test)


def exchanges():
    """Return (line, answer) pairs in English, as they stand in the package: many of them many times.

    Each line of a conversation is answered by the next. Source and errors as `sentences`.
    """
    members = {SPOKEN.format("english", topic): h for topic, h in EXCHANGES.items()}
    files = fetch.from_package("chatterbot_corpus", "1.3.3", members=members)
    return [pair for member in members for pair in _answered(files[member])]


def _split(lists, seed, train, test):
    rng, parts = np.random.default_rng(seed), ([], [])
    for index, found in enumerate(lists):
        if len(found) <= test:
            raise ValueError(f"{test} to test leave nothing to train on: one language has {len(found)} only")
        drawn = [found[i] for i in rng.permutation(len(found))]
        parts[1].extend((text, index) for text in drawn[:test])
        parts[0].extend((text, index) for text in drawn[test : None if train is None else test + train])
    return parts


def _last_names(path):
    """Read last names out of a provider's source, without executing it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        name = getattr(targets[0], "id", "")
        icelandic = "is_IS" in path.parts and name == "first_names_male"
        if "last_names" in name or icelandic:
            strings = [n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant)]
            found += [_patronymic(s, i) for i, s in enumerate(strings)] if icelandic else strings
    return [name for name in found if isinstance(name, str) and LATIN.fullmatch(name)]


def _patronymic(name, i):
    """Make a last name of a father's name, as the provider does it: Ólafur gives Ólafsson or Ólafsdóttir."""
    stem = name[:-2] if name.endswith("ur") else name
    return stem + ("" if stem.endswith("s") else "s") + ("son", "dóttir")[i % 2]


def _spoken(path):
    """Read the sentences of one file: what stands after the dashes of its list `conversations`."""
    _, _, listed = path.read_text(encoding="utf-8-sig").partition("conversations:")
    lines = [re.fullmatch(r"\s*-(?:\s+-)?\s+(.*\S)\s*", line) for line in listed.splitlines()]
    spoken = (line[1].strip("'\" ") for line in lines if line)
    return [sentence for sentence in spoken if sentence]


def _answered(path):
    """Read pairs of neighboring lines of one file; a double dash begins a new conversation."""
    pairs, last = [], None
    _, _, listed = path.read_text(encoding="utf-8-sig").partition("conversations:")
    for line in listed.splitlines():
        if read := re.fullmatch(r"\s*-(\s+-)?\s+(.*\S)\s*", line):
            said = read[2].strip("'\" ")
            if last is not None and not read[1]:
                pairs.append((last, said))
            last = said
    return pairs


DATASETS = (
    Dataset(
        "seven plays",
        "language_models",
        "public domain",
        "dlp_utils.data.text.shakespeare (shipped; from package shakespeare 0.6)",
        "W. Shakespeare, in the text of Project Gutenberg",
    ),
    Dataset(
        "last names",
        "language_models",
        "MIT",
        "package faker 40.63.0",
        "D. Faraglia and contributors, Faker",
        megabytes=2.0,
        fetch=names,
    ),
    Dataset(
        "sentences",
        "language_models",
        "BSD-3-Clause",
        "package chatterbot_corpus 1.3.3",
        "G. Cox and contributors, chatterbot-corpus",
        megabytes=0.5,
        fetch=sentences,
    ),
    Dataset(
        "exchanges",
        "transformers",
        "BSD-3-Clause",
        "package chatterbot_corpus 1.3.3",
        "G. Cox and contributors, chatterbot-corpus",
        megabytes=0.5,
        fetch=exchanges,
    ),
)

"""Prompts that ask to summarise, answer from, translate or rewrite a short passage."""

import importlib
import inspect
import random
from collections.abc import Iterator

from arms.checks import at_least
from speculative.distillation.prompts.prose_facts import FACTS, STORIES
from speculative.distillation.prompts.training_prompt import Draw, TrainingPrompt, draw_distinct

_NAMES = ("Agnes", "Boris", "Celia", "Dario", "Edith", "Felix", "Greta", "Henri", "Irma", "Jonas", "Karin")
_FRIENDS = ("Marta", "Niels", "Odile", "Pavel", "Rafael", "Sonja", "Theo", "Ulla", "Viktor", "Wilma", "Xenia")
_TOWNS = ("Ashford", "Brookhill", "Carden", "Dunmere", "Eastwick", "Fairholm", "Glenby", "Harrow Bay")
_SHOPS = ("bakery", "bookshop", "cafe", "flower shop", "tea house", "toy shop", "pharmacy", "bicycle shop")
_THINGS = ("umbrella", "violin", "camera", "suitcase", "typewriter", "globe", "clock", "guitar", "lamp")
_MONTHS = ("January", "March", "April", "May", "June", "August", "September", "October", "December")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LANGUAGES = ("French", "German", "Spanish", "Italian")
_STYLES = ("more formal", "simpler", "shorter", "more friendly", "easier for children to read", "more polite")
# Modules whose docstrings hold paragraphs of connected text.
_MODULES = (
    "argparse bisect calendar collections configparser contextlib copy csv datetime difflib email.message "
    "fractions functools heapq http.client inspect ipaddress json.decoder json.encoder logging "
    "logging.handlers pathlib pickle pprint random shelve shlex shutil smtplib socketserver statistics "
    "string subprocess tarfile tempfile textwrap threading timeit trace traceback unittest.case "
    "unittest.mock urllib.parse urllib.request uuid warnings xml.etree.ElementTree zipfile"
)

_ASKS = (
    "Summarise the following text in two sentences.\n\n{passage}",
    "Summarize this:\n{passage}",
    "{passage}\n\nWhat is the main point of this text?",
    "{passage}\n\nGive a one sentence summary.",
    "List the most important facts from this text.\n\n{passage}",
    "Write a short title for this text and say why it fits.\n\n{passage}",
    "Read the text and write down its key points as a list.\n\n{passage}",
    "Translate this text into {language}.\n\n{passage}",
    "How would you say this in {language}?\n\n{passage}",
    "{passage}\n\nTranslate the text above into {language}.",
    "Rewrite this text so that it is {style}.\n\n{passage}",
    "Please make the following {style}:\n\n{passage}",
    "Rewrite this in your own words.\n\n{passage}",
    "{passage}\n\nSay the same thing with other words.",
    "Correct and improve this text:\n\n{passage}",
)
_QUESTION_ASKS = (
    "Answer the question from the text.\n\nText: {passage}\n\nQuestion: {question}\nAnswer:",
    "{passage}\n\n{question}",
    "Read this and answer in one sentence. {question}\n\n{passage}",
    "Context: {passage}\n\nUsing only the context, answer this: {question}",
    "{question} Use the following text.\n\n{passage}",
)
_QUESTION_SHARE = 0.35


def _fact_passage(topic: str, rng: random.Random) -> tuple[str, str]:
    """Join 4 to 8 statements on a topic in random order; the question is about one of them."""
    lines = FACTS[topic].splitlines()
    chosen = rng.sample(list(zip(lines[::2], lines[1::2], strict=True)), rng.randint(4, 8))
    return " ".join(sentence for sentence, _ in chosen), rng.choice(chosen)[1]


def _story_passage(outline: str, rng: random.Random) -> tuple[str, str]:
    """Fill the slots of an outline and of its question."""
    slots = {
        "name": rng.choice(_NAMES),
        "friend": rng.choice(_FRIENDS),
        "town": rng.choice(_TOWNS),
        "shop": rng.choice(_SHOPS),
        "thing": rng.choice(_THINGS),
        "month": rng.choice(_MONTHS),
        "day": rng.choice(_DAYS),
        "year": str(rng.randrange(1890, 2021)),
        "few": str(rng.randrange(3, 10)),
        "some": str(rng.randrange(11, 60)),
        "hundreds": str(100 * rng.randrange(2, 10)),
    }
    text, question = STORIES[outline]
    return text.format(**slots), question.format(**slots)


def _reads_as_prose(text: str) -> bool:
    """Tell whether a paragraph has 40 to 140 words in full sentences and few symbols."""
    n_symbols = sum(not (character.isalnum() or character in " .,;:'\"()-") for character in text)
    in_sentences = text[:1].isupper() and text.endswith((".", "!"))
    return 40 <= len(text.split()) <= 140 and in_sentences and n_symbols <= 0.02 * len(text)


def _docstrings(module_name: str) -> Iterator[str]:
    """Yield the docstrings of a module, of what it defines, and of the methods in it."""
    module = importlib.import_module(module_name)
    yield inspect.getdoc(module) or ""
    for member in vars(module).values():
        if getattr(member, "__module__", None) == module_name:
            yield inspect.getdoc(member) or ""
            if inspect.isclass(member):
                yield from (inspect.getdoc(m) or "" for m in vars(member).values() if inspect.isfunction(m))


def _library_passages() -> dict[str, list[str]]:
    """Map each module of the standard library to the prose paragraphs of its docstrings, in a fixed order."""
    passages: dict[str, list[str]] = {}
    for name in _MODULES.split():
        paragraphs = (" ".join(p.split()) for doc in _docstrings(name) for p in doc.split("\n\n"))
        found = list(dict.fromkeys(filter(_reads_as_prose, paragraphs)))
        if found:
            passages[name] = found
    return passages


def prose_prompts(n: int, seed: int) -> list[TrainingPrompt]:
    """Draw `n` different prompts about a passage; the same seed and Python version give the same list.

    Two in five passages join statements of fact, two in five tell a small story, the others are paragraphs
    from docstrings of the standard library of the running Python.

    Args:
        n: Number of prompts, >= 0.
        seed: Seed of the draw.

    Returns:
        n records of domain "prose", grouped by topic, outline or module.

    Raises:
        ValueError: if `n` is negative or more than the source can give.
    """
    at_least(n, 0, "n")  # before the library is read
    rng = random.Random(at_least(seed, 0, "seed"))
    library = _library_passages()

    def draw() -> Draw:
        kind = rng.random()
        question = ""
        if kind < 0.4:
            group = rng.choice(list(FACTS))
            passage, question = _fact_passage(group, rng)
        elif kind < 0.8:
            group = rng.choice(list(STORIES))
            passage, question = _story_passage(group, rng)
        else:
            group = rng.choice(list(library))
            passage = rng.choice(library[group])
        asks = _QUESTION_ASKS if question and rng.random() < _QUESTION_SHARE else _ASKS
        style, language = rng.choice(_STYLES), rng.choice(_LANGUAGES)
        return group, rng.choice(asks).format(passage=passage, question=question, style=style, language=language)

    return draw_distinct("prose", n, draw)

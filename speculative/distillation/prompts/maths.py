"""Word problems in the manner of primary-school maths, drawn from templates."""

import random

from arms.checks import at_least
from speculative.distillation.prompts.training_prompt import Draw, TrainingPrompt, draw_distinct

# fmt: off
_NAMES = (
    "Ada", "Amir", "Anna", "Ben", "Bilal", "Carla", "Chen", "Clara", "Dana", "David", "Elif", "Emma",
    "Farid", "Fiona", "George", "Grace", "Hana", "Hugo", "Ines", "Ivan", "Jack", "Jana", "Kofi", "Lena",
    "Liam", "Lucia", "Maya", "Milan", "Mina", "Nadia", "Noah", "Nora", "Oscar", "Olga", "Paula", "Petra",
    "Quinn", "Rosa", "Ravi", "Sam", "Sara", "Tariq", "Tessa", "Tom", "Uma", "Vera", "Victor", "Wendy",
    "Yara", "Yusuf", "Zoe",
)
_ITEMS = (
    "apples", "books", "pencils", "marbles", "stickers", "notebooks", "candles", "postcards", "balloons",
    "cookies", "plums", "shells", "buttons", "badges", "tickets", "stamps", "tulips", "muffins", "toy cars",
    "beads", "pears", "lemons", "bricks", "magnets", "pens", "mugs", "cushions", "seeds", "coins", "keys",
)
_PLACES = (
    "school", "library", "farm", "bakery", "garden", "museum", "factory", "market", "hotel", "theatre",
    "zoo", "camp", "workshop", "station", "club", "harbour",
)
_VEHICLES = (
    "train", "bus", "car", "truck", "boat", "motorbike", "van", "tram", "ferry", "coach",
)
_DAYS = (
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
)
# fmt: on

# {few_*}: 2 to 9; {some_*}: 11 to 30; {many}: 40 to 95; {hundreds}: 200 to 900;
# {percent} of {hundreds} is whole; {few_1_2}, {few_all} ...: products, so that sharing comes out even.
_PROBLEMS: tuple[str, ...] = (
    "{name} buys {few_1} {items} for {few_2} dollars each and {few_3} {things} for {some_1} dollars each. "
    "How much does {name} spend in total?",
    "{name} has {many} {items}. {friend} has {some_1} fewer {items} than {name}. How many {items} do they "
    "have together?",
    "A {vehicle} travels at {many} kilometres per hour for {few_1} hours. How far does it travel?",
    "A {vehicle} covers {few_many} kilometres in {few_1} hours at a steady speed. What is its speed in "
    "kilometres per hour?",
    "{name} is {few_1} years old. {friend} is {few_2} times as old. How old will {friend} be in {few_3} years?",
    "{name} is {some_1} years old and {friend} is {few_1} years older. What is the sum of their ages?",
    "{name} wants to share {few_1_2} {items} equally among {few_1} friends. How many {items} does each friend get?",
    "{name} puts {few_some} {items} into bags of {few_1}. How many bags does {name} need?",
    "A jacket costs {hundreds} dollars. In the sale its price falls by {percent} percent. What is the sale price?",
    "Of the {hundreds} visitors to the {place}, {percent} percent are children. How many visitors are adults?",
    "A machine at the {place} makes {some_1} {items} per minute. How many {items} does it make in {few_1} hours?",
    "{name} reads {some_1} pages a day. How many pages does {name} read in {few_1} weeks?",
    "A rectangular garden is {some_1} metres long and {few_1} metres wide. How long is the fence around it?",
    "A room is {some_1} feet long and {few_1} feet wide. A tile covers one square foot. How many tiles "
    "cover the floor?",
    "A square field has a perimeter of {four_some} metres. What is the length of one side?",
    "A film starts at {few_1}:15 in the afternoon and lasts {many} minutes. At what time does it end?",
    "{name} practises the piano for {some_1} minutes every day from Monday to Friday and {many} minutes on "
    "Saturday. How many minutes does {name} practise in a week?",
    "{name} earns {some_1} dollars an hour and works {few_1} hours a day, five days a week. How much does "
    "{name} earn in {few_2} weeks?",
    "{name} saves {some_1} dollars a week. A bicycle costs {few_some_1} dollars. After how many weeks can "
    "{name} buy it?",
    "{name} pays for {few_1} {items} at {few_2} dollars each with a 100 dollar note. How much change does {name} get?",
    "There are {some_1} rows of {few_1} seats in the {place}. {few_2} seats are empty. How many seats are taken?",
    "A box holds {few_1} packets, and every packet holds {some_1} {items}. How many {items} are in {few_2} boxes?",
    "{name} has twice as many {items} as {friend}. Together they have {three_some} {items}. How many does {name} have?",
    "On {day} the {place} sold {many} tickets. The next day it sold {few_1} times as many. How many tickets "
    "did it sell over the two days?",
    "A recipe for {few_1} people needs {few_1_2} eggs. How many eggs are needed for {few_3} people?",
    "A tank holds {hundreds} litres of water. It loses {few_1} litres every hour. How much water is left "
    "after {few_2} hours?",
    "A tap fills {few_1} litres a minute. How many minutes does it take to fill a tub of {few_some} litres?",
    "{name} ran {few_1} kilometres on {day}, {few_2} kilometres the next day and {few_3} kilometres on the "
    "third day. How many metres did {name} run altogether?",
    "The average of three numbers is {some_1}. Two of them are {some_1} and {few_1}. What is the third number?",
    "{name} scored {many}, {some_1} and {some_2} points in three games. How many points did {name} score in all?",
    "{few_1} {items} cost {few_1_2} dollars. How much do {some_1} {items} cost at the same price?",
    "A farmer has {some_1} hens. Every hen lays {few_1} eggs a week. The eggs are sold for {few_2} dollars "
    "each. How much money do the eggs bring in one week?",
    "{name} had {hundreds} dollars, spent {percent} percent of it on clothes and {some_1} dollars on lunch. "
    "How much is left?",
    "A rope of {few_all} metres is cut into pieces of {few_1} metres. How many pieces are there?",
    "{name} and {friend} start at the same place and walk in opposite directions, {name} at {few_1} "
    "kilometres an hour and {friend} at {few_2} kilometres an hour. How far apart are they after {few_3} "
    "hours?",
    "A class of {four_some} pupils goes to the {place}. Half of them are girls, and {few_1} of the girls "
    "are absent that day. How many girls go on the trip?",
    "At the {place} an adult ticket costs {some_1} dollars and a child ticket {few_1} dollars. What do "
    "{few_2} adults and {few_3} children pay?",
    "{name} bakes {some_1} {treats} in the morning and {some_2} in the afternoon. {name} gives away {few_1} "
    "of them. How many {treats} are left?",
    "A shelf is {hundreds} centimetres long. How many metres long are {few_1} such shelves placed end to end?",
    "A shop buys a lamp for {hundreds} dollars and sells it with a profit of {percent} percent. What is the "
    "selling price?",
    "Every day {name} drinks {few_1} glasses of water of {hundreds} millilitres each. How much does {name} "
    "drink in a week?",
    "In a box there are red and blue {items} in the ratio {few_1} to {few_2}. There are {few_1_3} red ones. "
    "How many blue ones are there?",
    "A worker paints a fence in {few_1} hours. How many fences can {few_2} workers paint in {few_1_3} hours "
    "at that pace?",
    "{name} plants {few_1} rows of {some_1} tulips, but {few_2} tulips do not grow. How many tulips bloom?",
    "A phone plan costs {some_1} dollars a month plus {few_1} dollars for every gigabyte. What is the bill "
    "for a month in which {name} uses {few_2} gigabytes?",
    "{name} borrowed {hundreds} dollars and pays back {few_1} dollars a week. How much does {name} still "
    "owe after {few_2} weeks?",
    "One side of a triangle is {some_1} centimetres long, the second is {few_1} centimetres longer and the "
    "third is as long as the first. What is the perimeter?",
    "A bus leaves with {many} passengers. At the first stop {some_1} get off and {few_1} get on. At the "
    "second stop {few_2} get on. How many passengers are on board now?",
    "Half of the {two_many} {items} at the {place} are new. A further {some_1} are repaired. The rest are "
    "broken. How many are broken?",
    "{name} is {few_1} years old. In {some_1} years {name} will be half as old as {friend} is now. How old "
    "is {friend}?",
)

_ASKS: tuple[str, ...] = (
    "{problem}",
    "{problem} Solve step by step.",
    "{problem} Show your working.",
    "{problem}\nAnswer with the final number at the end.",
    "Solve this problem step by step.\n\n{problem}",
    "Question: {problem}\nAnswer:",
    "Work this out and explain each step: {problem}",
    "Can you help me with this one? {problem}",
    "{problem} Let's think step by step.",
    "{problem} Explain how you found the answer.",
    "Here is a maths problem: {problem} What is the answer?",
)


def _numbers(rng: random.Random) -> dict[str, int]:
    """Draw every number a template may name; products make divisions come out even."""
    few_1, few_2, few_3 = rng.sample(range(2, 10), 3)
    some_1, some_2 = rng.sample(range(11, 31), 2)
    many = rng.randrange(40, 96)
    return {
        "few_1": few_1,
        "few_2": few_2,
        "few_3": few_3,
        "few_1_2": few_1 * few_2,
        "few_1_3": few_1 * few_3,
        "few_all": few_1 * few_2 * few_3,
        "some_1": some_1,
        "some_2": some_2,
        "few_some": few_1 * some_2,
        "few_some_1": few_1 * some_1,
        "three_some": 3 * some_1,
        "four_some": 4 * some_1,
        "many": many,
        "two_many": 2 * many,
        "few_many": few_1 * many,
        "hundreds": 100 * rng.randrange(2, 10),
        "percent": rng.choice((5, 10, 15, 20, 25, 30, 40, 50, 60, 75)),
    }


def _words(rng: random.Random) -> dict[str, str]:
    """Draw every name and object a template may name."""
    name, friend = rng.sample(_NAMES, 2)
    items, things = rng.sample(_ITEMS, 2)
    return {
        "name": name,
        "friend": friend,
        "items": items,
        "things": things,
        "treats": rng.choice(("muffins", "rolls", "biscuits", "cakes", "pies", "pancakes")),
        "place": rng.choice(_PLACES),
        "vehicle": rng.choice(_VEHICLES),
        "day": rng.choice(_DAYS),
    }


def maths_word_problems(n: int, seed: int) -> list[TrainingPrompt]:
    """Draw `n` different word problems; the same seed gives the same list.

    Args:
        n: Number of prompts, >= 0.
        seed: Seed of the draw.

    Returns:
        n records of domain "maths", grouped by problem template.

    Raises:
        ValueError: if `n` is negative or more than the templates can give.
    """
    rng = random.Random(at_least(seed, 0, "seed"))

    def draw() -> Draw:
        index = rng.randrange(len(_PROBLEMS))
        problem = _PROBLEMS[index].format(**_numbers(rng), **_words(rng))
        return f"problem-{index}", rng.choice(_ASKS).format(problem=problem)

    return draw_distinct("maths", n, draw)

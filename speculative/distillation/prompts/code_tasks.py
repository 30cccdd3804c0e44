"""Small programming tasks: a signature, what the function should do, and one example."""

from typing import NamedTuple


class CodeTask(NamedTuple):
    """One task, for example `square(n: int) -> int`, "return the square of n", `square(3) == 9`."""

    signature: str
    goal: str
    example: str

    @property
    def name(self) -> str:
        """The function's name."""
        return self.signature.partition("(")[0]


# One task a line: signature | goal | arguments == result.
_TABLE = """\
fibonacci(n: int) -> int | return the n-th Fibonacci number, counting from 0 | (10) == 55
factorial(n: int) -> int | return the factorial of n | (5) == 120
is_prime(n: int) -> bool | tell whether n is a prime number | (13) == True
primes_below(limit: int) -> list[int] | return all primes smaller than limit | (10) == [2, 3, 5, 7]
greatest_divisor(a: int, b: int) -> int | return the greatest common divisor of a and b | (12, 18) == 6
least_multiple(a: int, b: int) -> int | return the least common multiple of a and b | (4, 6) == 12
prime_factors(n: int) -> list[int] | return the prime factors of n in rising order | (12) == [2, 2, 3]
digit_sum(n: int) -> int | return the sum of the decimal digits of n | (482) == 14
reverse_number(n: int) -> int | return n with its decimal digits in reverse order | (123) == 321
is_leap_year(year: int) -> bool | tell whether a year is a leap year | (1900) == False
to_binary(n: int) -> str | return the binary digits of n as text | (5) == "101"
from_binary(digits: str) -> int | convert a string of binary digits to an integer | ("1100") == 12
to_roman(n: int) -> str | write a number below 4000 as a Roman numeral | (14) == "XIV"
from_roman(numeral: str) -> int | return the integer that a Roman numeral stands for | ("IX") == 9
celsius(fahrenheit: float) -> float | convert a temperature from Fahrenheit to Celsius | (212.0) == 100.0
mean(values: list[float]) -> float | \
return the arithmetic mean of a list of numbers | ([1.0, 2.0, 6.0]) == 3.0
median(values: list[float]) -> float | return the median of a list of numbers | ([5, 1, 3]) == 3
most_common(values: list[int]) -> int | return the value that occurs most often | ([4, 2, 4, 7]) == 4
second_largest(values: list[int]) -> int | return the second largest distinct value | ([3, 9, 9, 5]) == 5
value_range(values: list[int]) -> int | return the largest minus the smallest value | ([4, 10, 6]) == 6
running_total(values: list[int]) -> list[int] | return the running sums of a list | ([1, 2, 3]) == [1, 3, 6]
product(values: list[int]) -> int | multiply all numbers in a list | ([2, 3, 4]) == 24
only_even(values: list[int]) -> list[int] | keep only the even numbers | ([1, 2, 3, 4]) == [2, 4]
squares(n: int) -> list[int] | list the squares of 1 to n | (4) == [1, 4, 9, 16]
sum_of_multiples(n: int) -> int | add up the multiples of 3 or 5 below n | (10) == 23
collatz_steps(n: int) -> int | count the steps of the Collatz rule until n reaches 1 | (6) == 8
power(base: int, exponent: int) -> int | raise base to a whole exponent by repeated squaring | (2, 10) == 1024
triangle_area(a: float, b: float, c: float) -> float | \
return the area of a triangle with sides a, b and c | (3, 4, 5) == 6.0
distance(p: tuple[int, int], q: tuple[int, int]) -> float | \
return the straight distance between two points | ((0, 0), (3, 4)) == 5.0
pascal_row(n: int) -> list[int] | return row n of Pascal's triangle | (3) == [1, 3, 3, 1]
reverse_text(text: str) -> str | return the text backwards | ("stone") == "enots"
is_palindrome(text: str) -> bool | tell whether a text reads the same backwards | ("level") == True
count_vowels(text: str) -> int | count the vowels in a text | ("umbrella") == 3
count_words(text: str) -> int | count the words in a text | ("the tall old tree") == 4
longest_word(text: str) -> str | return the longest word of a sentence | ("a green lantern") == "lantern"
title_case(text: str) -> str | start every word with a capital letter | ("rain in may") == "Rain In May"
remove_spaces(text: str) -> str | delete every space from a text | ("a b c") == "abc"
word_lengths(text: str) -> list[int] | list the length of every word | ("go far away") == [2, 3, 4]
letter_counts(text: str) -> dict[str, int] | \
count how often each letter occurs in a text | ("noon") == {"n": 2, "o": 2}
first_unique(text: str) -> str | return the first letter that occurs only once | ("aabcb") == "c"
are_anagrams(a: str, b: str) -> bool | tell whether two words are anagrams | ("listen", "silent") == True
caesar(text: str, shift: int) -> str | shift every letter along the alphabet | ("abc", 2) == "cde"
run_lengths(text: str) -> str | compress runs of equal letters to letter and count | ("aaab") == "a3b1"
is_pangram(text: str) -> bool | tell whether a text uses every letter from a to z | ("abc") == False
snake_case(name: str) -> str | turn a camel case name into snake case | ("maxSpeed") == "max_speed"
camel_case(name: str) -> str | turn a snake case name into camel case | ("max_speed") == "maxSpeed"
initials(name: str) -> str | return the initials of a full name | ("Mary Ann Lake") == "MAL"
mask_digits(text: str) -> str | replace every digit with a star | ("room 42") == "room **"
truncate(text: str, width: int) -> str | cut a text to at most width characters | ("mountain", 5) == "mount"
is_email(text: str) -> bool | tell whether a text looks like an e-mail address | ("ann@example.org") == True
balanced(text: str) -> bool | check that round brackets are balanced | ("(()") == False
common_prefix(words: list[str]) -> str | \
return the longest common prefix of a list of words | (["tea", "team"]) == "tea"
acronym(text: str) -> str | build an acronym from the words of a phrase | ("as soon as possible") == "ASAP"
swap_case(text: str) -> str | exchange upper and lower case | ("MiX") == "mIx"
hamming(a: str, b: str) -> int | count the positions at which two texts differ | ("cart", "card") == 1
edit_distance(a: str, b: str) -> int | return the Levenshtein distance between two words | ("cat", "cut") == 1
unique(values: list[int]) -> list[int] | \
remove repeated values and keep the order | ([2, 1, 2, 3]) == [2, 1, 3]
flatten(rows: list[list[int]]) -> list[int] | join nested lists into one | ([[1], [2, 3]]) == [1, 2, 3]
chunks(values: list[int], size: int) -> list[list[int]] | \
cut a list into pieces of at most size values | ([1, 2, 3], 2) == [[1, 2], [3]]
rotate(values: list[int], k: int) -> list[int] | \
move the last k values to the front | ([1, 2, 3], 1) == [3, 1, 2]
merge_sorted(a: list[int], b: list[int]) -> list[int] | \
merge two sorted lists into one sorted list | ([1, 4], [2]) == [1, 2, 4]
common(a: list[int], b: list[int]) -> list[int] | \
list the values found in both | ([1, 2, 3], [2, 3]) == [2, 3]
is_sorted(values: list[int]) -> bool | tell whether values never decrease | ([1, 1, 3]) == True
bubble_sort(values: list[int]) -> list[int] | sort a list with bubble sort | ([3, 1, 2]) == [1, 2, 3]
insertion_sort(values: list[int]) -> list[int] | sort a list with insertion sort | ([5, 2, 4]) == [2, 4, 5]
quicksort(values: list[int]) -> list[int] | sort a list with quicksort | ([9, 7, 8]) == [7, 8, 9]
merge_sort(values: list[int]) -> list[int] | sort a list with merge sort | ([4, 1, 3]) == [1, 3, 4]
binary_search(values: list[int], target: int) -> int | \
return the index of target in a sorted list, or -1 | ([1, 4, 6], 4) == 1
two_sum(values: list[int], total: int) -> tuple[int, int] | \
return the indices of two values that add up to total | ([2, 7, 4], 11) == (1, 2)
max_profit(prices: list[int]) -> int | \
return the best gain from buying once and selling later | ([7, 1, 5, 3]) == 4
best_slice(values: list[int]) -> int | return the largest sum of a run of neighbours | ([2, -5, 4, 1]) == 5
missing_number(values: list[int]) -> int | \
return the one number from 0 to n that is missing | ([0, 3, 1]) == 2
move_zeros(values: list[int]) -> list[int] | move all zeros to the end | ([0, 1, 0, 2]) == [1, 2, 0, 0]
pairs(values: list[int]) -> list[tuple[int, int]] | \
list all pairs of neighbouring values | ([1, 2, 3]) == [(1, 2), (2, 3)]
differences(values: list[int]) -> list[int] | \
list the differences between neighbouring values | ([1, 4, 9]) == [3, 5]
count_above(values: list[int], limit: int) -> int | count the values above a limit | ([1, 5, 9], 4) == 2
last_index(values: list[int], value: int) -> int | \
return the last index at which value occurs | ([3, 1, 3], 3) == 2
moving_average(values: list[float], width: int) -> list[float] | \
return the mean of every window of width neighbours | ([1, 3, 5], 2) == [2.0, 4.0]
dot(a: list[int], b: list[int]) -> int | return the scalar product of two vectors | ([1, 2], [3, 4]) == 11
transpose(rows: list[list[int]]) -> list[list[int]] | \
swap the rows and columns of a matrix | ([[1, 2]]) == [[1], [2]]
trace(rows: list[list[int]]) -> int | add up the main diagonal of a square matrix | ([[1, 2], [3, 4]]) == 5
identity(n: int) -> list[list[int]] | build the n by n identity matrix | (2) == [[1, 0], [0, 1]]
invert(mapping: dict[str, int]) -> dict[int, str] | \
swap the keys and values of a dictionary | ({"a": 1}) == {1: "a"}
top_keys(scores: dict[str, int], n: int) -> list[str] | \
list the n keys with the highest scores | ({"a": 1, "b": 3}, 1) == ["b"]
group_by_length(words: list[str]) -> dict[int, list[str]] | \
group words by their length | (["it"]) == {2: ["it"]}
merge_counts(a: dict[str, int], b: dict[str, int]) -> dict[str, int] | \
add up two counts key by key | ({}, {"x": 1}) == {"x": 1}
parse_query(text: str) -> dict[str, str] | read key=value pairs joined by & | ("a=1") == {"a": "1"}
parse_time(text: str) -> int | turn hours:minutes into minutes | ("02:30") == 150
format_seconds(seconds: int) -> str | write seconds as minutes:seconds | (125) == "2:05"
days_in_month(year: int, month: int) -> int | return the number of days in a month | (2023, 2) == 28
letter_grade(score: int) -> str | turn a score from 0 to 100 into a grade from A to F | (95) == "A"
fizz_buzz(n: int) -> str | return Fizz for 3, Buzz for 5, FizzBuzz for both, else n | (9) == "Fizz"
make_change(cents: int) -> int | find the fewest coins of 25, 10, 5 and 1 cents | (41) == 4
compound(amount: float, rate: float, years: int) -> float | \
return the amount after years of compound interest | (200.0, 0.5, 1) == 300.0
body_mass_index(kilograms: float, metres: float) -> float | \
return the body mass index of a person | (80.0, 2.0) == 20.0
discount(price: float, percent: float) -> float | take a percentage off a price | (80.0, 25.0) == 60.0
valid_password(text: str) -> bool | \
check that a password has eight characters, a digit and a capital | ("abc") == False
climb(steps: int) -> int | count the ways to climb stairs by one or two steps | (4) == 5
subsets(values: list[int]) -> list[list[int]] | list all subsets of a list | ([1]) == [[], [1]]
permutations(text: str) -> list[str] | list all orders of the letters of a text | ("ab") == ["ab", "ba"]
knapsack(weights: list[int], limit: int) -> int | \
return the heaviest total weight that stays within limit | ([3, 4, 5], 8) == 8
depth(tree: dict[str, dict]) -> int | return the depth of a nested dictionary | ({"a": {"b": {}}}) == 2
count_islands(grid: list[str]) -> int | count connected groups of # cells | (["#.#"]) == 2
shortest_path(graph: dict[str, list[str]], a: str, b: str) -> int | \
return the smallest number of edges between a and b, or -1 | ({"a": ["b"]}, "a", "b") == 1
evaluate_postfix(text: str) -> int | evaluate an expression in postfix notation | ("2 3 +") == 5
count_lines(path: str) -> int | count the lines of a text file | ("empty.txt") == 0
read_column(path: str, column: str) -> list[str] | return one column of a CSV file | ("empty.csv", "a") == []
retry(attempts: int, action: Callable[[], int]) -> int | \
call action again after an exception, at most attempts times | (3, lambda: 7) == 7
"""


def code_tasks() -> list[CodeTask]:
    """Return every task, in a fixed order."""
    rows = [line.split(" | ") for line in _TABLE.splitlines()]
    return [CodeTask(signature, goal, signature.partition("(")[0] + example) for signature, goal, example in rows]

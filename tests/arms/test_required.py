"""A required attribute may be set in any of three ways, and says so where it is not."""

import pytest

from arms.required import required


class Base:
    @required
    def name(self):
        """What it is called."""


class OfTheClass(Base):
    name = "mine"


class OfTheInstance(Base):
    def __init__(self):
        self.name = "mine"


class Computed(Base):
    @property
    def name(self):
        return "mine"


@pytest.mark.parametrize("cls", [OfTheClass, OfTheInstance, Computed])
def test_each_way_of_setting_it_works(cls):
    assert cls().name == "mine"


class Forgotten(Base):
    pass


def test_one_that_is_not_set_is_named_with_its_class():
    with pytest.raises(AttributeError, match="Forgotten must set name: as a class attribute, as a property, or in __i"):
        _ = Forgotten().name


def test_the_base_class_keeps_the_description():
    assert Base.name.__doc__ == "What it is called."

"""The pages' code measures small models."""

from tests.support.quiet_machine import measured_costs_are_taken_as_they_are as measured_costs_are_taken_as_they_are

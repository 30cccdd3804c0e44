"""How a decoder computes on the machine at hand: the forms there are, a short measurement, and the plan it gives."""

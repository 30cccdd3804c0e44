"""Copies to a card for which the host does not stand still."""

import torch


def without_waiting(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a tensor of the host to where it is needed; a card takes it from pinned memory while the host goes on."""
    kind = device.type
    if kind == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True) if kind == "cuda" else tensor.to(device)

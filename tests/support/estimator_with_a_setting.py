"""An estimator of somebody else's that cannot be made without a setting."""

from bandits.off_policy.estimators import IPS


class NeedsPower(IPS):
    def __init__(self, power):
        object.__setattr__(self, "power", power)

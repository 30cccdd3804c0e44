"""As much of Ray as `RayExecutor` calls, in this process and in no time: each call ends when it is waited for."""

from types import SimpleNamespace


class RayError(Exception):
    pass


class RayActorError(RayError):
    pass


class RayTaskError(RayError):
    def __init__(self, cause):
        super().__init__(f"traceback\nof {cause}")
        self.cause = cause


class Died(BaseException):
    """Raised by a task to end its actor."""


class FakeRay:
    """Stands in for the module `ray`; what `calls` holds is what has been asked of it."""

    exceptions = SimpleNamespace(RayError=RayError, RayActorError=RayActorError, RayTaskError=RayTaskError)

    def __init__(self, n_cpus=3, n_gpus=1, room=None, connected=False, faulty_start=False, absent=False, lost=False):
        self.resources = {"CPU": float(n_cpus), "GPU": float(n_gpus)}
        self.room, self.connected, self.faulty_start = room, connected, faulty_start
        self.absent, self.lost = absent, lost
        self.calls, self.actors, self.options = [], [], None

    def init(self, **options):
        if self.absent:
            raise ConnectionError("ray client connection timeout")
        self.connected, self.options = True, options

    def is_initialized(self):
        return self.connected

    def shutdown(self):
        self.connected = False

    def cluster_resources(self):
        return {kind: number for kind, number in self.resources.items() if number}  # as Ray: no zeros

    def put(self, value):
        if getattr(value, "unpicklable", False):
            raise TypeError("cannot pickle it\nsecond line")
        return Reference(value)

    def remote(self, **options):
        self.actor_options = options
        return lambda kind: SimpleNamespace(remote=lambda *arguments: FakeActor(self, kind, arguments))

    def wait(self, calls, num_returns):
        """Return the call that was made last of those whose actor has room, so that order is not the callers'."""
        if self.lost:
            self.connected = False
            raise ConnectionError("client is shutting down")
        able = [call for call in calls if self.room is None or call.actor in self.actors[: self.room]]
        return [able[-1]], [call for call in calls if call is not able[-1]]

    def get(self, call):
        if self.faulty_start or call.actor.dead:
            raise RayActorError("The actor died\nbecause of much")
        try:
            return call.function(*[item.value for item in call.arguments])
        except Died as error:
            call.actor.dead = True
            raise RayActorError("The actor died\nbecause of much") from error
        except TypeError as error:
            raise RayTaskError(error) from error

    def kill(self, actor):
        actor.killed = True


class Reference:
    def __init__(self, value):
        self.value = value


class FakeActor:
    def __init__(self, ray, kind, arguments):
        self.dead = self.killed = False
        worker = kind(*[item.value for item in arguments])
        self.ready, self.run = (FakeMethod(self, method) for method in (worker.ready, worker.run))
        ray.actors.append(self)


class FakeMethod:
    def __init__(self, actor, function):
        self.actor, self.function = actor, function

    def remote(self, *arguments):
        return FakeCall(self.actor, self.function, arguments)


class FakeCall:
    def __init__(self, actor, function, arguments):
        self.actor, self.function, self.arguments = actor, function, arguments

"""The errors a user can meet. The command line prints each as one line; any other exception is a bug.

GanfoundryError
├── MissingDependency     a package, program or library this command needs is not installed
├── UnsupportedSystem     this command does not run on this operating system
├── SpecError             a generator's description is malformed or asks for the impossible
├── ConfigError           training settings that contradict each other or the data
├── DataError             images, importers and packs
├── TrainingError         a run that cannot start, go on, or be read
│   ├── CheckpointError   training state or weights that are damaged or do not fit
│   └── DivergedError     losses or weights became infinite or not-a-number
├── ExportError           a network that cannot be exported, or an export that failed its checks
├── BundleError           an exported bundle that is incomplete, damaged or not what it says
├── RepositoryError       a Triton model repository that cannot be read or written
├── DeployError           manifests that cannot be made of a repository, or written
├── AssetError            steps, palettes and atlases that contradict themselves or what they are applied to
└── ServingError          the server or a request to it
    ├── ServerUnavailable no server at that address, or it went away
    │   └── ServerBusy    stopping, restarting or overloaded: the same request may be answered later
    │       └── ServerOverloaded  too many requests wait, or one waited too long
    ├── ModelNotFound     the server does not have that model
    └── RequestRefused    the server or the client refused what was asked
"""


class GanfoundryError(Exception):
    """Base of every error that is the user's to fix. ``str(error)`` is one line that says what to do."""


class MissingDependency(GanfoundryError):
    """A package, program or library this command needs is not installed."""


class UnsupportedSystem(GanfoundryError):
    """This command does not run on this operating system."""


class SpecError(GanfoundryError):
    """A generator's description is malformed or asks for the impossible."""


class ConfigError(GanfoundryError):
    """Training settings that contradict each other or the data."""


class DataError(GanfoundryError):
    """Images, importers and packs."""


class TrainingError(GanfoundryError):
    """A run that cannot start, go on, or be read."""


class CheckpointError(TrainingError):
    """Training state or weights that are damaged or do not fit."""


class DivergedError(TrainingError):
    """Losses or weights became infinite or not-a-number."""


class ExportError(GanfoundryError):
    """A network that cannot be exported, or an export that failed its checks."""


class BundleError(GanfoundryError):
    """An exported bundle that is incomplete, damaged or not what it says."""


class RepositoryError(GanfoundryError):
    """A Triton model repository that cannot be read or written."""


class DeployError(GanfoundryError):
    """Manifests that cannot be made of a repository, or written."""


class AssetError(GanfoundryError):
    """Steps, palettes and atlases that contradict themselves or what they are applied to."""


class ServingError(GanfoundryError):
    """The server or a request to it."""


class ServerUnavailable(ServingError):
    """No server at that address, or it went away."""


class ServerBusy(ServerUnavailable):
    """Stopping, restarting or overloaded: the same request may be answered later."""


class ServerOverloaded(ServerBusy):
    """Too many requests wait, or one waited too long."""


class ModelNotFound(ServingError):
    """The server does not have that model."""


class RequestRefused(ServingError):
    """The server or the client refused what was asked."""


def first_line(error: object, most: int | None = None) -> str:
    """What ``error`` says in one line of at most ``most`` characters: libraries say pages, and some nothing at all."""
    return (str(error).strip() or repr(error)).splitlines()[0][:most]

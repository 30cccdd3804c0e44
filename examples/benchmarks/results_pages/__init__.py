"""The result pages of the documentation, one file a page, made from the JSON files of the measuring scripts."""

from collections.abc import Callable, Mapping
from pathlib import Path

from results_pages.bandits_beside_peers import bandits_page
from results_pages.choice import choice_page
from results_pages.drafts import drafts_page
from results_pages.generation import generation_page
from results_pages.headline import headline
from results_pages.intervals import intervals_page
from results_pages.llama_cpp import llama_cpp_page
from results_pages.loading import loading_page
from results_pages.policies import policies_page
from results_pages.regret import regret_page
from results_pages.rounds import rounds_page
from results_pages.routing import routing_page
from results_pages.scale import scale_page
from results_pages.serving import serving_page

PAGES: Mapping[str, Callable[[Path], str]] = {
    "generation.md": generation_page,
    "loading.md": loading_page,
    "llama_cpp.md": llama_cpp_page,
    "policies.md": policies_page,
    "choice.md": choice_page,
    "rounds.md": rounds_page,
    "drafts.md": drafts_page,
    "bandits.md": bandits_page,
    "intervals.md": intervals_page,
    "regret.md": regret_page,
    "routing.md": routing_page,
    "scale.md": scale_page,
    "serving.md": serving_page,
    "headline.md": headline,
}


def make_pages(folder: Path) -> dict[str, str]:
    """Every page's text by file name.

    Raises:
        ValueError: naming the JSON file, if it is damaged or lacks what its page shows.
    """
    pages = {}
    for name, make in PAGES.items():
        try:
            pages[name] = make(folder)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{folder}: a JSON file lacks what {name} shows ({error!r}); measure again") from error
    return pages

"""The commands of `draftpick`, one a file: each a thin shell over one public function."""

"""Review: frames of evidence and recordings are found, looked at, labelled and exported, all in the page's own folder."""

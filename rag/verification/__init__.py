"""Whether what a draft says is said by what it cites: rules, and where it is there a model as a second opinion."""

"""Known causes: from the numbers of a report to a finding, one function for each."""

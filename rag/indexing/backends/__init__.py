"""Vector backends: ways to find near neighbours among the vectors of one segment, behind one protocol."""

"""The compact Med-LVLM: a LLaVA that is assembled on this machine from packages and from what we trained."""

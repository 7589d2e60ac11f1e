"""Numbers with their units, brought to one unit, so that "4.2 cm" is "42 mm" and is not "2.4 cm".

A number is read whole: its sign, its power of ten, its unit with the prefix and the denominator, and whether it is a
bound ("< 5 mm", "at least 5 mm"). Dates, ratios, shares and grades are numbers too. General readers of quantities
(pint, quantulum3) know neither grades and levels nor the denominators and abbreviations of laboratory values, and
guess where nothing is written; what is compared here must never be guessed.
"""

from rag.language.quantities.quantity import Quantity, same_quantity, satisfies
from rag.language.quantities.reader import quantities_of

__all__ = ["Quantity", "quantities_of", "same_quantity", "satisfies"]

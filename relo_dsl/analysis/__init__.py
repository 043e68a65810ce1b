"""What can be proved of conditions without running them: what never holds, what follows from what.

A proof looks for a way in which formulas could all hold and finds none; where it cannot tell, or
not soon, it says nothing. So a finding may be missed, but none that is reported can be refuted.
"""

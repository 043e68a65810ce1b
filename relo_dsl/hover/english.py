"""What each construct means, in English."""

from __future__ import annotations

TEXTS: dict[str, str] = {
    # files
    "audience": "A set of devices that is computed, kept up to date, published and exported. "
    "Its condition stands behind `match`.",
    "segment": "A condition with a name, for other definitions to use with `in segment`. "
    "It is not published itself, so it has no refresh, export or size.",
    "let": "Gives events, a number or a condition a name, in this file only. It is bound once, and "
    "a condition keeps the windows that it was written with.",
    "match": "The condition that a device must meet to belong. It is asked at one instant T, of "
    "every device whose consent allows it.",
    "label": "The name that people read, in lists and reports.",
    "description": "What the definition is for, in a sentence or two.",
    "owner": "Who answers for the definition.",
    "client": "The number of the client whose devices and events it reads. It may be left out "
    "where the project's configuration names one.",
    "type": "What the audience is for: `retargeting`, `suppression`, `winback`, `lookalike` or "
    "`cross_sell`. It sets how often it is refreshed where `refresh` says nothing.",
    "refresh": "How often the audience is computed again, in the definition's time zone. "
    "Without it the type decides; without a type it is daily.",
    "realtime": "The audience follows every event as it comes in. What needs all devices at once, "
    "such as a ranking, can still only be computed in batch.",
    "hourly": "The audience is computed again every hour.",
    "daily": "The audience is computed again every day, at midnight or the time that follows, in "
    "the definition's time zone.",
    "weekly": "The audience is computed again once a week, on the day and at the time that follow, "
    "in the definition's time zone.",
    "every": "The audience is computed again each time so long has passed.",
    "cron": "When the audience is computed again, as five cron fields (minute, hour, day, month, "
    "weekday) in the definition's time zone.",
    "timezone": "The time zone in which dates, calendar windows and refresh times are read. "
    "Without it the project's counts, then UTC.",
    "export": "The destinations that get the audience. Each needs consent, and a device without it "
    "is no member.",
    "ttl": "How long a device's membership may be kept after it was last confirmed. Without it, "
    "90 days.",
    "minimum": "The smallest audience that may be published.",
    "tags": "Words to find the definition by. They change nothing about who belongs.",
    "require": "Asks for more consent than the destinations already do, by name or as bits. It can "
    "only add: nothing lowers what a destination needs.",
    # windows
    "within": "The time since a length ago: T - A < t <= T. Right at the far end an event is out.",
    "within_calendar": "The current calendar period and the N-1 before it, in the definition's "
    "time zone. Weeks start on Monday.",
    "between": "At least as old as the first age, and younger than the second: "
    "T - B < t <= T - A. The two may stand in either order.",
    "before_ago": "At least so long ago: t <= T - A.",
    "before_date": "Before the start of that local day, or before that instant.",
    "since": "From the start of that local day, or from that instant, up to T.",
    "from_to": "Whole local days, both included. Where an end is an instant, it is the end itself.",
    "in_period": "A calendar year, quarter or month, in the definition's time zone.",
    "on_date": "One whole local day, in the definition's time zone.",
    "named_period": "A calendar period around T, in the definition's time zone. Of events, the "
    "current one goes up to T. Weeks start on Monday.",
    # times
    "within_next": "A time that lies ahead: T < t <= T + A. For properties and traits that are "
    "times; events of the future do not exist yet.",
    "anniversary": "Whether the month and day of a date come round in a window, in local dates. "
    "29 February counts as 1 March in other years.",
    # selections and predicates
    "selection": "Only the events whose properties pass what stands in the brackets. Inside stand "
    "tests of properties joined by `and`, `or` and `not`.",
    "alternatives": "Events of any of these types. What they have in common goes into brackets "
    "behind the parenthesis.",
    "any_event": "Events of every type. `identify`, `consent` and `score` records are no events.",
    "any_element": "One element of an array of objects passes all that stands in the brackets.",
    "=": "Equal. Texts are compared as written, numbers as exact decimals. An absent property is "
    "equal to nothing.",
    "!=": "Not equal. False where the property is absent, unless `or missing` follows.",
    "<": "Less than. False where a side is missing.",
    "<=": "Less than or equal. False where a side is missing.",
    ">": "Greater than. False where a side is missing.",
    ">=": "Greater than or equal. False where a side is missing.",
    "one_of": "Equal to one of the values. False where the property is absent.",
    "not_one_of": "Equal to none of the values. False where the property is absent, unless "
    "`or missing` follows.",
    "in_range": "From the smaller number to the larger, both included.",
    "not_in_range": "Outside the range, whose ends belong to it. False where the value is missing.",
    "contains": "The text stands somewhere in the string. Case counts, unless `ignoring case` "
    "follows.",
    "starts with": "The string begins with the text. Case counts, unless `ignoring case` follows.",
    "ends with": "The string ends with the text. Case counts, unless `ignoring case` follows.",
    "matches": "An RE2 pattern is found anywhere in the string; `^` and `$` tie it to the ends. "
    "A pattern has at most 1,000 characters.",
    "ignoring case": "Small and capital letters are the same for the test before it.",
    "has_one": "The array holds the value. False where the array is absent.",
    "has_any": "The array holds at least one of the values.",
    "has_all": "The array holds every one of the values, in any order.",
    "exists": "The property or trait is there. The empty string is a value; `null` is not.",
    "is_missing": "The property or trait is not there, or is `null`.",
    "or_missing": "Makes the test before it hold where the property is absent, too. Without it a "
    "test of an absent property is false, `!=` and `not in` included.",
    "boolean": "The two values of a boolean property or trait.",
    # geography
    "near": "A point lies at most so far from a place or a pair of latitude and longitude. The "
    "distance is the great circle's, in `m` or `km`.",
    "place": "A point that the catalog names.",
    "in_zone": "A point lies in a zone of the catalog: a polygon by its corners.",
    # conditions
    "and": "Both sides hold. It binds tighter than `or`, and parentheses make a mixture plain.",
    "or": "At least one side holds. It binds less tightly than `and`.",
    "not": "Turns the answer round: whoever did not pass does, those without any such value "
    "included. It binds tightest.",
    "no": "No such event in the window: the same as `not`. It ranges over every device that has "
    "any event or `identify`.",
    "repeat": "A window alone repeats the subject of the operand before it, without its window and "
    "its `not` or `no`. A cheaper purchase does not count against `purchase.revenue > 100 … and "
    "not within 30d`.",
    "user": "A trait of the device: what its latest `identify` with that trait said. A trait set "
    "to `null` is missing.",
    "in_segment": "The device meets the condition of another definition. It is that condition "
    "itself, not its published set, so it is never stale.",
    "in_list": "The device is in a list of device ids that was uploaded.",
    # measures
    "count": "How many such events; 0 where there is none.",
    "sum": "The sum of a property over the events that have it; 0 over none. It is exact.",
    "avg": "The mean of a property, cut at 9 places after the point. Missing over no events, and "
    "then every comparison is false.",
    "min": "The smallest value of a property. Missing over no events.",
    "max": "The largest value of a property. Missing over no events.",
    "median": "The middle value of a property; of an even number, the mean of the middle two, cut "
    "at 9 places. Missing over no events.",
    "distinct": "How many different values a property has, counted exactly; 0 over no events.",
    "days": "On how many different local days there was such an event.",
    "weeks": "In how many different local weeks, from Monday on, there was such an event.",
    "months": "In how many different local months there was such an event.",
    "+": "Adds two numbers or measures, exactly.",
    "-": "Takes one number or measure from another, exactly.",
    "*": "Multiplies two numbers or measures, exactly.",
    "/": "Divides; the quotient is cut at 9 places after the point. A comparison with a division "
    "by zero is false.",
    "negative": "The number with the other sign.",
    "first": "The earliest such event of all history up to T. A window behind tests its time, and "
    "`.property` a property of it; without any such event it is false.",
    "last": "The latest such event of all history up to T. A window behind tests its time, and "
    "`.property` a property of it; without any such event it is false.",
    # sequences and the rest
    "then": "An event of the next step, strictly later than the one before it. `within A` behind "
    "it is the longest time since that step.",
    "then no": "No such event came in the A after the step before it, and A has fully passed by T. "
    "It is always the last step.",
    "regularity": "The comparison holds in at least K of the last M periods. With a length they "
    "count back from T; with `calendar days`, `weeks` or `months` they are local ones, the current "
    "one first.",
    "held_for": "The test of the trait has held without a break for at least so long, up to T. "
    "Setting the same value again does not start it anew.",
    "score": "The latest value that a model wrote for the device, at or before T. Missing, and so "
    "every comparison false, where there is none.",
    "rfm": "Scores from 1 to 5 for how recently, how often and for how much a device buys. Missing "
    "for a device without a purchase; the catalog sets the thresholds.",
    "recency": "1 to 5 by the days since the last purchase: 5 is the most recent.",
    "frequency": "1 to 5 by the purchases of the last 180 days: 5 is the most.",
    "monetary": "1 to 5 by the revenue of all purchases: 5 is the most.",
    "is_named": "The device's RFM scores fit a named pattern: `champions`, `at_risk`, "
    "`new_customers`, `hibernating`, or one that the catalog adds.",
    "affine": "Bought some product that at least N (2, where nothing is said) consented devices "
    "bought as well as this one, and never bought this one itself.",
    "keep": "Of the devices that pass and have a value, only those at the top or bottom of a "
    "ranking. Ties go to the smaller device key; a share is rounded up.",
    "sample": "Keeps a fixed pseudo-random share of the members. A device does not move from run "
    "to run, and a larger share only adds devices.",
    "holdout": "Splits a fixed pseudo-random share off into a second published set, "
    "`NAME:holdout`, to compare with.",
    # tests
    "test": "An example that `relo test` runs: some devices with their records, and who belongs at "
    "each instant. Only the devices named exist.",
    "given": "The records of one device. Times count from the test's first instant.",
    "given_list": "Which devices of the test are in a list.",
    "expect": "The devices that are members at every instant of the test, or with `not` are none.",
    "bounds": "When the device enters and when it leaves: it is a member at the first instant, not "
    "one millisecond before, and no longer at the second.",
    "moment": "When a record stands: so long before the test's first instant, at a date, or at "
    "that instant.",
    "null": "No value: a trait set to `null` is missing.",
    "identify": "Sets traits of the device at that time. It is no event, but makes the device "
    "exist.",
    "consent": "Sets the device's consent from that time on, as the sum of its flags: 255 is all.",
    "score_record": "The values that a model wrote for the device at that time.",
}

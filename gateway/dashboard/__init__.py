"""The page that people look at: what was spent and saved, and why each request went where it went.

pages.py has the endpoints. overview.py, one_decision.py, models.py and why.py turn what the log and
the catalog say into what is shown, and are pure.
"""

"""``tonwatch bundle``: alerts, dashboards and runbooks with the user's names in them."""

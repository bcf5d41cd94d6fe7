"""Who may call in the demonstration network: systems with keys of their own, and people to choose from."""

from app.access.providers import Acting

EVERYTHING = "system/*.cruds"
SYSTEMS = {
    "demo-hospital": Acting(organization="song-huong-hospital", role="referrer", scopes=EVERYTHING),
    "demo-kitchen": Acting(organization="bep-am", role="provider", scopes=EVERYTHING),
    "demo-childrens-centre": Acting(organization="phka-chhouk", role="provider", scopes=EVERYTHING),
    "demo-shelter": Acting(organization="mai-am-binh-yen", role="provider", scopes=EVERYTHING),
}
PERSONS = {
    "Lê Thị Hương": SYSTEMS["demo-hospital"],
    "Trần Văn Bếp": SYSTEMS["demo-kitchen"],
    "Sok Chanthy": SYSTEMS["demo-childrens-centre"],
    "Phạm Thị Yên": SYSTEMS["demo-shelter"],
}
"""Invented, as everything in that network."""

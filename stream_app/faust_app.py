"""The app for Faust's own command: `faust -A stream_app.faust_app worker`.

Settings come from CARDIOSENTRY_CONFIG and CARDIOSENTRY_… in the environment. Importing this module is that process's
composition root: it verifies the model and connects, so nothing else imports it.
"""

from stream_app.app import create_app
from stream_app.configuration import read_settings

app = create_app(read_settings())

"""Write the JSON Schemas beside this file: `python docs/schemas/write.py`. A test says when they are not current."""

import json
from pathlib import Path

from contracts.heart_disease import HEART_DISEASE
from contracts.schema import schemas

for topic, schema in schemas(HEART_DISEASE).items():
    text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    Path(__file__).with_name(f"{topic}.json").write_text(text, "utf-8")

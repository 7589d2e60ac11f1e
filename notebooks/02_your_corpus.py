# %% [markdown]
# # Your own corpus
#
# A folder becomes an index: each file goes to the reader that recognises its content, records that cannot be read are set
# aside with the reason, and a second ingest touches only what changed.

# %%
import json
import tempfile
from pathlib import Path

import rag

folder = Path(tempfile.mkdtemp()) / "ward-3"
folder.mkdir()

# %% [markdown]
# Three made-up cases (synthetic text, written for this notebook) and a line that is damaged.

# %%
rows = [
    {
        "id": "a1",
        "text": "FINDINGS: The heart is enlarged. No pleural effusion.",
        "domain": "radiology",
        "group": "pat-1",
    },
    {
        "id": "a2",
        "text": "FINDINGS: Heart size is normal. Small left pleural effusion.",
        "domain": "radiology",
        "group": "pat-2",
    },
    {"id": "a3", "text": "FINDINGS: Lungs are clear. No pneumothorax.", "domain": "radiology", "group": "pat-3"},
]
cases = folder / "cases.jsonl"
cases.write_text("\n".join(map(json.dumps, rows)) + '\n{"id": "a4"\n', encoding="utf-8")

# %%
index = rag.Index.create(folder.parent / "ward")
report = index.ingest(folder)
print(f"{report.added} added, {report.updated} updated, {len(report.quarantined)} set aside")
for aside in report.quarantined:
    print("  ", aside.reason)

# %%
engine = rag.Engine.open(index)
for study in ("a1", "a2", "a3"):
    answer = engine.ask("Is there a pleural effusion?", study=study)
    print(study, answer.verdict, "·", [c.quote for c in answer.citations])

# %% [markdown]
# ## A report is corrected
#
# The new text is a new version. What was answered before is still audited against the version that it was answered from.

# %%
before = engine.ask("Is there a pleural effusion?", study="a2")
rows[1]["text"] = "FINDINGS: Heart size is normal. No pleural effusion. CORRECTED REPORT."
cases.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
again = index.ingest(folder)
print(f"{again.updated} updated ({', '.join(again.changed)}), {again.unchanged} unchanged")

# %%
engine.refresh()
after = engine.ask("Is there a pleural effusion?", study="a2")
print("before:", before.verdict, "in version", before.index_version)
print("after: ", after.verdict, "in version", after.index_version)
print("the earlier answer, replayed as of its version:", engine.replay(before.audit_id).outcome)

# %%
for version in index.versions():
    print(version.number, version.note)
index.rollback(before.index_version)
engine.refresh()
print("after a rollback:", engine.ask("Is there a pleural effusion?", study="a2").verdict)
index.delete()

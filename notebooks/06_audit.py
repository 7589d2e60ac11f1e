# %% [markdown]
# # Audit
#
# Every answer is recorded before it is given. A record can be verified, replayed, judged, exported and redacted; what is not
# possible is to change it unnoticed.

# %%
import shutil
import sqlite3

import rag
from small_index import build

index = build("audited", reports=60)
engine = rag.Engine.open(index)
answer = engine.ask("Is there a pneumothorax?", study="CXR1")
answer.audit_id, answer.decision, answer.verdict

# %% [markdown]
# ## What is checked

# %%
for check in engine.verify(answer.audit_id).checks:
    print("ok " if check.ok else "NOT", check.name)

# %% [markdown]
# ## Judge it
#
# A judgement is an entry of its own, and judged answers become labelled questions.

# %%
engine.feedback(answer.audit_id, "right")
print(engine.replay(answer.audit_id).outcome)

# %% [markdown]
# ## Tamper with it
#
# On a copy: one word of one record is changed in the ledger's database, past the product. The verification finds it.

# %%
copy = index.path.parent / "tampered"
shutil.rmtree(copy, ignore_errors=True)
shutil.copytree(index.path, copy)
with sqlite3.connect(copy / "ledger.sqlite") as db:
    try:
        db.execute("DELETE FROM entries")
    except sqlite3.IntegrityError as error:
        print("a plain edit:", error)
    for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {trigger}")  # a forger who knows the product
    db.execute("UPDATE parts SET text = replace(text, 'No', 'Yes') WHERE name = 'answer'")
forged = rag.Engine.open(copy)
for check in forged.verify(answer.audit_id).checks:
    if not check.ok:
        print("NOT", check.name, "·", check.detail)
shutil.rmtree(copy)

# %% [markdown]
# A chain cannot show that its end was cut off, or that all of it was written anew: keep the head hash that
# `rag audit verify --all` prints somewhere else, and give it to `--expect` later.
#
# ## Redact it
#
# A patient's texts leave; the chain still holds, since an entry commits to each part by a salted hash and the salt goes with
# the part. On the command line: `rag audit redact --group GROUP --index NAME --why withdrawn`.

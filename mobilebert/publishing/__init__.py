"""Publishing: plan, upload what differs, manifest last, read back, receipt (`design.md` section 7).

A published version lies at `DESTINATION/NAME/VERSION/` and is immutable: `README.md` (the model card), one folder a format,
and `manifest.json`, without which the version counts as unfinished.
"""

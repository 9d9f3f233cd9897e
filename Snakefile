# MobileBERT-zh: raw Chinese text and a Chinese BERT teacher in, compact Chinese MobileBERT models out.
# Settings: config.yaml. Stages: rules/. How they hang together: workflow/. The work: mobilebert/.

from snakemake.utils import min_version

from workflow.inputs import Inputs
from workflow.jobs import (
    attempt,
    closing_message,
    failure_message,
    shell_prefix,
    uncommitted_warning,
)
from workflow.paths import artifact_bucket, results, state, state_bucket
from workflow.settings import load, section

min_version("9.27")


configfile: "config.yaml"


SETTINGS = load(config, workflow.configfiles)
INPUTS = Inputs(SETTINGS, artifact_bucket(workflow.storage_settings))
DUE = INPUTS.freshness.due
STATE = state(SETTINGS.run)
STATE_BUCKET = state_bucket(SETTINGS.state_bucket, SETTINGS.run)
BEAM = section(SETTINGS, "beam")
CHECKPOINT_SECONDS = f"{SETTINGS.checkpoint_seconds:g}"

shell.executable("bash")
shell.prefix(shell_prefix(workflow.basedir))


pathvars:
    results=results(SETTINGS.run),


include: "rules/targets.smk"
include: "rules/corpus.smk"
include: "rules/vocabulary.smk"
include: "rules/records.smk"
include: "rules/teacher.smk"
include: "rules/distill.smk"
include: "rules/finetune.smk"
include: "rules/export.smk"
include: "rules/publish.smk"
include: "rules/report.smk"


onstart:
    print(
        uncommitted_warning(
            workflow.basedir,
            workflow.executor_plugin.name if workflow.executor_plugin else "local",
        )
    )


onsuccess:
    print(closing_message(results(SETTINGS.run)))


onerror:
    print(failure_message(log))

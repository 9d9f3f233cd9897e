# MobileBERT-zh: raw Chinese text and a Chinese BERT teacher in, compact Chinese MobileBERT models out.
# Settings: config.yaml. Stages: rules/. How they hang together: workflow/. The work: mobilebert/.

from snakemake.utils import min_version

from workflow import external_inputs, jobs, paths
from workflow.inputs import Inputs
from workflow.settings import load, section
from workflow.yaml_files import readable

min_version("9.27")


configfile: readable("config.yaml")


SETTINGS = load(config, workflow.configfiles)
external_inputs.warn_of_missing(SETTINGS)
INPUTS = Inputs(SETTINGS, paths.artifact_bucket(workflow.storage_settings))
DUE = INPUTS.freshness.due
STATE = paths.state(SETTINGS.run)
STATE_BUCKET = paths.state_bucket(SETTINGS.state_bucket, SETTINGS.run)
BEAM = section(SETTINGS, "beam")
CHECKPOINT_SECONDS = f"{SETTINGS.checkpoint_seconds:g}"

shell.executable("bash")
shell.prefix(jobs.shell_prefix(workflow.basedir))


pathvars:
    results=paths.results(SETTINGS.run),


# Here, since a file that is included cannot say what is made by default.
rule all:
    input:
        "<results>/report.html",
        INPUTS.exports.receipts,
        INPUTS.records.exported,


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
        jobs.uncommitted_warning(
            workflow.basedir,
            workflow.executor_plugin.name if workflow.executor_plugin else "local",
        )
    )


onsuccess:
    print(jobs.closing_message(paths.results(SETTINGS.run)))


onerror:
    print(jobs.failure_message(log))

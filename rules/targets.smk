# The names that a user asks for: `snakemake --profile tpu student`.


wildcard_constraints:
    source="|".join(INPUTS.sources.fetched) or "none",
    teacher="[^/]+",
    student="|".join(SETTINGS.students),
    stage="layer[0-9]+|joint",
    model="[^/]+",
    task="|".join(INPUTS.tasks.known),
    repeat="[0-9]+",
    format="|".join(INPUTS.exports.known_formats),


rule corpus:
    input:
        INPUTS.corpus.folder()[1],


rule vocabulary:
    input:
        INPUTS.vocabulary.folder()[1],


rule records:
    input:
        INPUTS.records.folder()[1],
        INPUTS.records.exported,


rule teacher:
    input:
        INPUTS.teacher.checked[1],


rule student:
    input:
        INPUTS.students.pretrained,


rule scores:
    input:
        "<results>/scores.tsv",


rule exports:
    input:
        INPUTS.exports.check_manifests,


rule publish:
    input:
        INPUTS.exports.receipts,


rule report:
    input:
        "<results>/report.html",

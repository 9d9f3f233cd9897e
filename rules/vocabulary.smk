# The tokenizer that teacher and student share: learned here, or brought by a file or a given teacher.


if SETTINGS.vocabulary.kind == "learned":

    rule learn_vocabulary:
        input:
            corpus=INPUTS.corpus.folder,
            due=DUE(
                "tokenizer",
                INPUTS.vocabulary.learning_settings,
                INPUTS.corpus.folder,
            ),
        output:
            files=directory("<results>/tokenizer"),
            manifest="<results>/tokenizer/manifest.json",
        log:
            "<results>/logs/learn_vocabulary.log",
        benchmark:
            "<results>/benchmarks/learn_vocabulary/all.tsv"
        conda:
            "../envs/data.yaml"
        threads: 4
        resources:
            mem_mb=4000,
            beam=BEAM,
            attempt=jobs.attempt,
            runtime="1d",
        params:
            settings=INPUTS.vocabulary.learning_settings,
        message:
            "Learning the vocabulary from the corpus"
        shell:
            "python -m scripts.learn_vocabulary --settings {params.settings:q} --corpus {input.corpus[0]:q}"
            " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"
            " --beam {resources.beam:q}"

else:

    rule import_vocabulary:
        input:
            source=INPUTS.vocabulary.source,
            due=DUE(
                "tokenizer",
                INPUTS.vocabulary.import_settings,
                source=INPUTS.vocabulary.source_path,
            ),
        output:
            files=directory("<results>/tokenizer"),
            manifest="<results>/tokenizer/manifest.json",
        log:
            "<results>/logs/import_vocabulary.log",
        benchmark:
            "<results>/benchmarks/import_vocabulary/all.tsv"
        conda:
            "../envs/data.yaml"
        threads: 1
        resources:
            mem_mb=1000,
            attempt=jobs.attempt,
            runtime="1h",
        params:
            settings=INPUTS.vocabulary.import_settings,
            source=INPUTS.vocabulary.source_path,
        message:
            "Importing the vocabulary"
        shell:
            "python -m scripts.import_vocabulary --settings {params.settings:q} --source {params.source:q}"
            " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"

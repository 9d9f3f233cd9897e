# Cleaned documents to TFRecords of token ids with word starts; classic BERT records in and out.


rule write_records:
    input:
        corpus=INPUTS.corpus.folder,
        tokenizer=INPUTS.vocabulary.folder,
        dictionary=INPUTS.records.dictionary,
        due=DUE(
            "records",
            INPUTS.records.manifest_settings,
            INPUTS.corpus.folder,
            INPUTS.vocabulary.folder,
        ),
    output:
        files=directory("<results>/records"),
        manifest="<results>/records/manifest.json",
        description="<results>/records/records.json",
    log:
        "<results>/logs/write_records.log",
    benchmark:
        "<results>/benchmarks/write_records/all.tsv"
    conda:
        "../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        beam=BEAM,
        attempt=jobs.attempt,
        runtime="2d",
    params:
        settings=INPUTS.records.shaping,
        dictionary=INPUTS.records.dictionary_path,
    message:
        "Writing the token records"
    shell:
        "python -m scripts.write_records --settings {params.settings:q}"
        " --corpus {input.corpus[0]:q} --tokenizer {input.tokenizer[0]:q}"
        " --dictionary {params.dictionary:q} --out {output.files:q} --log {log:q}"
        " --attempt {resources.attempt} --threads {threads} --beam {resources.beam:q}"


rule import_records:
    input:
        source=INPUTS.records.classic_files,
        tokenizer=INPUTS.vocabulary.folder,
        due=DUE(
            "imported_records",
            INPUTS.records.import_manifest_settings,
            INPUTS.vocabulary.folder,
        ),
    output:
        files=directory("<results>/imported_records"),
        manifest="<results>/imported_records/manifest.json",
        description="<results>/imported_records/records.json",
    log:
        "<results>/logs/import_records.log",
    benchmark:
        "<results>/benchmarks/import_records/all.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        attempt=jobs.attempt,
        runtime="1d",
    params:
        settings=INPUTS.records.shaping,
        source=INPUTS.records.classic_path,
    message:
        "Importing classic BERT records"
    shell:
        "python -m scripts.import_records --settings {params.settings:q}"
        " --source {params.source:q} --tokenizer {input.tokenizer[0]:q}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"


rule export_records:
    input:
        records=INPUTS.records.folder,
        due=DUE(
            "exported_records",
            INPUTS.records.export_manifest_settings,
            INPUTS.records.folder,
        ),
    output:
        files=directory("<results>/exported_records"),
        manifest="<results>/exported_records/manifest.json",
    log:
        "<results>/logs/export_records.log",
    benchmark:
        "<results>/benchmarks/export_records/all.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        attempt=jobs.attempt,
        runtime="2d",
    params:
        settings=section(SETTINGS, "masking", "records.dupe_factor", "seed"),
    message:
        "Writing the records for other programs"
    shell:
        "python -m scripts.export_records --settings {params.settings:q} --records {input.records[0]:q}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"

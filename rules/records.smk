# Cleaned documents to TFRecords of token ids with word starts.


rule write_records:
    input:
        corpus=CHAIN.corpus,
        tokenizer=CHAIN.tokenizer,
        dictionary=CHAIN.dictionary,
    output:
        files=directory("<results>/records"),
        manifest="<results>/records/manifest.json",
    log:
        "<results>/logs/write_records.log",
    benchmark:
        "<results>/benchmarks/write_records/all.tsv"
    conda:
        "../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime="2d",
    params:
        settings=CHAIN.records_settings,
        dictionary=CHAIN.dictionary_path,
    message:
        "Writing the token records"
    shell:
        "python -m scripts.write_records --settings {params.settings:q}"
        " --corpus {input.corpus[0]:q} --tokenizer {input.tokenizer[0]:q}"
        " --dictionary {params.dictionary:q} --out {output.files:q} --log {log:q} --threads {threads}"

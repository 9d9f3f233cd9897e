"""Files that the Beam stages share, and Parquet rows by size."""

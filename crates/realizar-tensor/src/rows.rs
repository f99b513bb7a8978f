//! Activations: a buffer of f32 rows that is allocated once and filled many times.

/// `rows x width` f32 values, row-major, with room for `capacity` rows.
///
/// Operations of [`Compute`](crate::Compute) set the row count of their outputs and never allocate, so
/// a step whose buffers were made large enough allocates nothing.
#[derive(Debug, Clone)]
pub struct Rows {
    data: Vec<f32>,
    rows: usize,
    width: usize,
}

impl Rows {
    /// Room for `max_rows` rows of `width` values, all zero; starts with no rows.
    ///
    /// # Panics
    /// When `width` is zero, or `max_rows * width` overflows.
    #[must_use]
    pub fn with_capacity(max_rows: usize, width: usize) -> Self {
        assert!(width > 0, "rows of width 0");
        let Some(len) = max_rows.checked_mul(width) else {
            panic!("{max_rows} rows of {width} values overflow")
        };
        Self { data: vec![0.0; len], rows: 0, width }
    }

    /// Sets the number of rows; their contents are whatever was there.
    ///
    /// # Panics
    /// When `rows` is above [`Self::capacity`].
    pub fn set_rows(&mut self, rows: usize) {
        assert!(rows <= self.capacity(), "{rows} rows in a buffer for {}", self.capacity());
        self.rows = rows;
    }

    /// Sets the number of values per row; no rows are left. The room stays as it is.
    ///
    /// # Panics
    /// When `width` is zero.
    pub fn set_width(&mut self, width: usize) {
        assert!(width > 0, "rows of width 0");
        if self.width != width {
            (self.width, self.rows) = (width, 0);
        }
    }

    /// Keeps the given rows, in their order.
    ///
    /// # Panics
    /// When they do not ascend, or one is not below [`Self::rows`].
    pub fn keep_rows(&mut self, rows: &[usize]) {
        let (width, before) = (self.width, self.rows);
        for (to, &from) in rows.iter().enumerate() {
            assert!(from < before && (to == 0 || rows[to - 1] < from), "row {from} of {before}, ascending");
            if from != to {
                self.data.copy_within(from * width..(from + 1) * width, to * width);
            }
        }
        self.rows = rows.len();
    }

    /// Number of rows in use.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values per row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows that fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.data.len() / self.width
    }

    /// All rows in use, row-major.
    #[must_use]
    pub fn read(&self) -> &[f32] {
        &self.data[..self.rows * self.width]
    }

    /// One row.
    ///
    /// # Panics
    /// When `row` is not below [`Self::rows`].
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        &self.read()[row * self.width..][..self.width]
    }

    /// Replaces the contents; the row count follows from the length.
    ///
    /// # Panics
    /// When `values` is not a whole number of rows, or more than fit.
    pub fn write(&mut self, values: &[f32]) {
        assert!(values.len().is_multiple_of(self.width), "{} values in rows of {}", values.len(), self.width);
        self.set_rows(values.len() / self.width);
        self.values_mut().copy_from_slice(values);
    }

    /// All rows in use, to be written.
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.data[..self.rows * self.width]
    }
}

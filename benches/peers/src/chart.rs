//! The chart: a panel for each job, a bar for each column, the spread as a line across its end.

use std::path::Path;

use plotters::prelude::*;

use crate::jobs::Unit;
use crate::perf::Outcome;
use crate::report::best;
use crate::series::{Cell, Row};

const PANEL: (u32, u32) = (460, 260);
const ACROSS: u32 = 3;

pub(crate) fn draw(rows: &[Row], path: &Path) -> Outcome {
    let down = u32::try_from(rows.len())?.div_ceil(ACROSS);
    let root = SVGBackend::new(path, (PANEL.0 * ACROSS, PANEL.1 * down)).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.split_evenly((down as usize, ACROSS as usize));
    for (row, area) in rows.iter().zip(&areas) {
        panel(row, area)?;
    }
    root.present()?;
    Ok(())
}

fn panel(row: &Row, area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Outcome {
    let bars: Vec<_> = titles(row).into_iter().filter_map(|title| best(row, title)).collect();
    let scale = if row.job.unit == Unit::Rate { 1e-6 } else { 1.0 };
    let most =
        bars.iter().filter_map(|cell| cell.median()).map(|(_, _, most)| most * scale).fold(0.0, f64::max);
    let count = bars.len().max(1);
    let mut chart = ChartBuilder::on(area)
        .caption(&row.job.title, ("sans-serif", 13))
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(90)
        .build_cartesian_2d(0.0..most.max(1e-9) * 1.05, (0..count).into_segmented())?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(count)
        .y_label_formatter(&|segment| label(&bars, segment))
        .x_desc(axis(row.job.unit))
        .draw()?;
    for (index, cell) in bars.iter().enumerate() {
        let Some((median, least, most)) = cell.median() else { continue };
        let color = if cell.column.title.starts_with("sinew") {
            RGBColor(0, 105, 146)
        } else {
            RGBColor(150, 160, 170)
        };
        let (bottom, top) = (SegmentValue::Exact(index), SegmentValue::Exact(index + 1));
        let mut bar = Rectangle::new([(0.0, bottom), (median * scale, top)], color.filled());
        bar.set_margin(2, 2, 0, 0);
        chart.draw_series([bar])?;
        let middle = SegmentValue::CenterOf(index);
        let spread = [(least * scale, middle.clone()), (most * scale, middle)];
        chart.draw_series([PathElement::new(spread, BLACK)])?;
    }
    Ok(())
}

/// The columns of a row, the first one last: bars are drawn from below.
fn titles(row: &Row) -> Vec<&'static str> {
    let mut titles = Vec::new();
    for cell in row.cells.iter().rev() {
        if !titles.contains(&cell.column.title) {
            titles.push(cell.column.title);
        }
    }
    titles
}

fn label(bars: &[&Cell], segment: &SegmentValue<usize>) -> String {
    let index = match segment {
        SegmentValue::CenterOf(index) | SegmentValue::Exact(index) => *index,
        SegmentValue::Last => return String::new(),
    };
    bars.get(index).map_or_else(String::new, |cell| {
        let failed = if cell.median().is_none() { ", failed" } else { "" };
        format!("{}{failed}", cell.column.title)
    })
}

const fn axis(unit: Unit) -> &'static str {
    match unit {
        Unit::Rate => "M messages/s",
        Unit::Micros => "us, less is better",
        Unit::KiB => "KiB, less is better",
        Unit::Allocations => "allocations/message, less is better",
    }
}
